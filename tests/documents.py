"""Run the examples of the guide and the README.

Every fenced block of a page is run, in the order of the page and in one folder. HTML comments
directly above a block say how:

- ``call 8000 from 101 press 1 2: forwarded to 222``: place this call to the block's IVRs
- ``raises ERROR: text``: the block raises this error
- ``file: NAME``: write the block to this file, for the blocks below
- ``service: TEXT``: start the command, and continue when it prints TEXT
- ``exit N``: the exit status of the commands
- ``output``: the commands above printed these lines; … stands for any text
- ``same as: PATH``: the lines are in this file of the repository, in this order
- ``not run: REASON``

Two comments are for a whole page: ``setup`` with code for the beginning of each Python block, and
``stage NAME``, see `tests.page_setup`.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import re
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from receiver import Ivr, Receiver
from receiver.config.load_app import load_app
from receiver.settings import Settings, unknown_settings
from receiver.testing import Phone

ROOT = Path(__file__).parent.parent
GUIDE = sorted((ROOT / "receiver" / "guide").glob("*.md"))
WAIT = 240.0
"""Seconds for a command."""

_COMMENT = re.compile(r"<!--\s*(.*?)\s*-->\n", re.DOTALL)
_PART = re.compile(r"<!--.*?-->\n|^```.*?^```$\n?|[^\n]*\n", re.DOTALL | re.MULTILINE)
_NAMES = ("same as", "not run", "raises", "file", "service", "exit", "output", "call")
_CALL = re.compile(r"(\S+)(?: from (\S+))?(?: press ([^:]+))?: (.+)")
_PORT = re.compile(r"((?:127\.0\.0\.1|0\.0\.0\.0):|--port )(\d{4})\b")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, with its comments."""

    page: Path
    line: int
    language: str
    text: str
    notes: tuple[tuple[str, str], ...]

    def note(self, name: str) -> str | None:
        """Return the value of a comment, None without one."""
        return dict(self.notes).get(name)

    @property
    def where(self) -> str:
        return f"{self.page.name}:{self.line}"


@dataclass(frozen=True)
class Page:
    """A page, with the comments that are for all of it."""

    blocks: tuple[Block, ...]
    setup: str
    stage: str


def parse(path: Path) -> Page:
    """Return the blocks of a page."""
    blocks, setup, stage = [], "", ""
    line, notes = 1, list[tuple[str, str]]()
    for part in _PART.findall(path.read_text()):
        if part.startswith("<!--"):
            text = _COMMENT.fullmatch(part)[1]  # type: ignore[index]
            if text.startswith("setup\n"):
                setup = text.removeprefix("setup\n") + "\n"
            elif text.startswith("stage "):
                stage = text.removeprefix("stage ")
            else:
                notes.append(_note(text, f"{path.name}:{line}"))
        elif part.startswith("```"):
            head, _, body = part.partition("\n")
            text = body.rstrip().removesuffix("```")
            blocks.append(Block(path, line, head.removeprefix("```"), text, tuple(notes)))
            notes = []
        else:
            assert not notes, f"{path.name}:{line}: a comment that is above no block"
        line += part.count("\n")
    return Page(tuple(blocks), setup, stage)


def _note(text: str, where: str) -> tuple[str, str]:
    name = next((name for name in _NAMES if re.match(rf"{name}(:|\s|$)", text)), None)
    assert name, f"{where}: an unknown comment: {text}"
    return name, text.removeprefix(name).removeprefix(":").strip()


@dataclass
class Service:
    """A command that runs in the background."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    ended: bool = False

    def __post_init__(self) -> None:
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                with self.changed:
                    self.lines.append(line)
                    self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def wait_for(self, text: str) -> str:
        """Return the output once it contains ``text``."""
        with self.changed:
            self.changed.wait_for(lambda: text in "".join(self.lines) or self.ended, WAIT)
            output = "".join(self.lines)
        assert text in output, output
        return output

    def stop(self) -> None:
        """Stop the process and those that it started."""
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(WAIT)
        self._reader.join(WAIT)


class Runner:
    """Runs the blocks of one page.

    Parameters:
        folder: of the commands and files, empty.
        environ: of the commands.
        port: returns the port that is used in place of one in a block.
    """

    def __init__(
        self,
        folder: Path,
        environ: Mapping[str, str],
        port: Callable[[int], int] = lambda port: port,
    ) -> None:
        self.folder = folder
        self.environ = dict(environ)
        self.output = ""
        self.services: list[Service] = []
        self._port = port
        self._setup = ""
        self._state = folder / ".state.sh"
        self._state.write_text(f"cd {folder}\n")

    def run(self, page: Page) -> Iterator[Block]:
        """Run each block of a page, and yield it."""
        self._setup = page.setup
        for block in page.blocks:
            try:
                self._run(block)
            except BaseException as error:
                error.add_note(f"in the block at {block.where}")
                raise
            yield block

    def close(self) -> None:
        for service in reversed(self.services):
            service.stop()

    def shell(self, text: str, status: int = 0) -> str:
        """Run commands as one shell session with the earlier ones; return the output."""
        script = f"{self._in_session(text)}\nexport -p > {self._state}; "
        script += f'echo "cd $(printf %q "$PWD")" >> {self._state}\n'
        done = subprocess.run(
            ["bash", "-c", script],
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=WAIT * 4,  # it may download
        )
        assert done.returncode == status, f"exit status {done.returncode}: {done.stdout}"
        return done.stdout

    def start(self, text: str, until: str) -> Service:
        """Start a command in the background, and wait until it prints ``until``."""
        process = subprocess.Popen(
            ["bash", "-c", self._in_session(f"exec {text}")],
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        service = Service(process)
        self.services.append(service)
        self.output = service.wait_for(until)
        return service

    def _in_session(self, text: str) -> str:
        return f"set -a; . {self._state}; set +a; set -euo pipefail\n{text}"

    def _run(self, block: Block) -> None:
        text = _PORT.sub(lambda found: f"{found[1]}{self._port(int(found[2]))}", block.text)
        if (path := block.note("same as")) is not None:
            _check_same(block.text, ROOT / path)
        if (reason := block.note("not run")) is not None:
            assert reason, "not run, without a reason"
        if (name := block.note("file")) is not None:
            self._write(name, text)
        if block.language == "text":
            assert block.note("output") is not None or reason, "a text that is no output"
            if reason is None:
                _check_output(text, self.output)
        elif reason is None:
            self._execute(block, text)
        for name, value in block.notes:
            if name == "call":
                self._call(block, value)

    def _execute(self, block: Block, text: str) -> None:
        if block.language == "sh":
            if (until := block.note("service")) is not None:
                self.start(text.strip(), until)
            else:
                self.output = self.shell(text, int(block.note("exit") or 0))
        elif block.language == "python" and block.note("file") is None:
            self._exec(block, text)
        else:
            known = block.note("file") is not None or block.note("same as") is not None
            assert known, f"nothing runs this block ({block.language})"

    def _write(self, name: str, text: str) -> None:
        here = Path(self.shell("pwd").strip()) / name
        here.parent.mkdir(exist_ok=True)
        here.write_text(text)
        if name.endswith(".env"):
            names = [line.partition("=")[0] for line in text.splitlines()]
            assert not (wrong := unknown_settings(dict.fromkeys(names, ""))), str(wrong)
            Settings.read({}, here)

    def _exec(self, block: Block, text: str) -> None:
        """Import the block as a module, so that durable jobs find its functions."""
        name = f"{block.page.stem.replace('-', '_')}_{block.line}"
        (self.folder / f"{name}.py").write_text(self._setup + text)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.folder)
            patch.syspath_prepend(str(self.folder))
            sys.modules.pop(name, None)  # of another page of that name
            if expected := block.note("raises"):
                _check_error(name, *expected.split(": ", 1))
            else:
                importlib.import_module(name)

    def _call(self, block: Block, value: str) -> None:
        words = _CALL.fullmatch(value)
        assert words, value
        number, caller, presses, expected = words.groups()
        target: Any = self.folder / (block.note("file") or "")
        if block.language == "python":
            module = sys.modules[f"{block.page.stem.replace('-', '_')}_{block.line}"]
            ivrs = [one for one in vars(module).values() if isinstance(one, Ivr)]
            target = getattr(module, "app", None) or Receiver(*ivrs)
        else:
            target = load_app(str(target))
        end = asyncio.run(_end_of_call(target, number, caller or "101", (presses or "").split()))
        assert end == expected, f"the call {value!r} ended: {end}"


async def _end_of_call(app: Receiver, ivr: str, caller: str, presses: list[str]) -> str:
    async with Phone(app) as phone:
        call = await phone.dial(ivr, caller=caller)
        for digits in presses:
            await call.press(digits)
        return call.outcome.text if call.outcome else "prompt"


def _check_error(module: str, kind: str, text: str) -> None:
    found = ""
    try:
        importlib.import_module(module)
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
    assert found, f"no {kind} was raised"
    assert found.startswith(f"{kind}: "), found
    assert text in found, found


def _check_same(text: str, path: Path) -> None:
    lines = iter(line.strip() for line in path.read_text().splitlines())
    for line in text.splitlines():
        assert line.strip() in lines, f"{path.name} has no such line, or in another order: {line}"


def _check_output(text: str, output: str) -> None:
    rest = iter([line.strip() for line in output.splitlines()])
    for line in text.splitlines():
        pattern = ".*".join(map(re.escape, line.strip().split("…")))
        assert any(re.fullmatch(pattern, one) for one in rest), f"not printed: {line}\n{output}"


class _Ports(dict[int, int]):
    def __missing__(self, port: int) -> int:
        self[port] = found = free_port()
        return found


def free_port() -> int:
    """Return a free port that the system gives to no connection meanwhile."""
    while True:
        found = 10_000 + secrets.randbelow(20_000)  # below those of connections
        with socket.socket() as one, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", found))
            return found


def free_ports() -> dict[int, int]:
    """Return a mapping of any port to a free one, always the same."""
    return _Ports()


def environ(**more: str) -> dict[str, str]:
    """Return the environment of commands: this interpreter's programs, and no settings."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RECEIVER_", "PYTEST_", "COV_", "PIP_"))
    }
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "PATH": path, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", **more}
