"""``receiver dev`` as a process, and a browser of a few lines."""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

WAIT = 240.0
"""Seconds after which a test gives up."""

APP = """
import logging
from receiver import Call, Forward, Hangup, Ivr, Receiver, Repeat, Reply

log = logging.getLogger("app")
sales = Ivr("8000")

@sales.caller("1**", auth="digest")
async def arrive(call: Call) -> Reply:
    log.info("asked by %s", call.caller)
    return Forward("222")

app = Receiver(sales)
"""


class Dev:
    """The process, what it prints, and its console.

    Attributes:
        opened: the URL that it printed, with the token.
        lines: its output so far.
        events: the events of the console so far.
    """

    def __init__(self, folder: Path, *options: str, target: str = "app:app", **env: str) -> None:
        self.folder = folder
        self.lines: list[str] = []
        self.events: list[dict[str, Any]] = []
        self._came = threading.Condition()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "receiver", "dev", target, "--port", "0", "--no-open", *options],
            cwd=folder,
            # A command that is killed leaves its temporary folder.
            env={**os.environ, "TMPDIR": str(folder), **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._threads = [threading.Thread(target=self._read, daemon=True)]
        self._threads[0].start()
        try:
            self.opened = self.until_printed(r"The console: (\S+)")
        except BaseException:  # no test has it yet to end it
            self.process.kill()
            raise
        self.url = self.opened.partition("?")[0]
        self.browser = httpx.Client(base_url=self.url, timeout=WAIT)
        self.browser.get(self.opened)
        self.seq = self.browser.get("state").json()["seq"]
        self._threads.append(threading.Thread(target=self._watch, daemon=True))
        self._threads[1].start()

    def until_printed(self, pattern: str, since: int = 0) -> str:
        """The first group of what it prints from line ``since`` on."""

        def found() -> re.Match[str] | None:
            return re.search(pattern, "".join(self.lines[since:]))

        match = self._until(found)
        return str(match[1] if match.groups() else match[0])

    def until(self, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first event that fits."""
        found: dict[str, Any] = self._until(
            lambda: next((one for one in list(self.events) if fits(one)), None)
        )
        return found

    def until_service(self, state: str, text: str = "") -> dict[str, Any]:
        """Wait for a state of the service; earlier events are dropped."""

        def fits(event: dict[str, Any]) -> bool:
            found_service = event.get("service") or {}
            return found_service.get("state") == state and text in found_service["text"]

        found = self.until(fits)
        self.events = self.events[self.events.index(found) + 1 :]
        service: dict[str, Any] = found["service"]
        return service

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Ask as the page does."""
        token = re.search(r'"console-token" content="([^"]+)"', self.page())
        assert token is not None
        answer = self.browser.post(path, json=body, headers={"X-Console-Token": token[1]})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def page(self) -> str:
        return self.browser.get("").text

    def call(self, key: str) -> dict[str, Any]:
        """A call as it is now."""
        found: dict[str, Any] = self.browser.get(f"calls/{key}").json()
        return found

    def dial(self, **wanted: str) -> dict[str, Any]:
        """Place a call that its CALLER action answers; the call at its end."""
        key = self.post("phone/dial", {"ivr": "8000", "caller": "101", **wanted})["call"]
        return self.ended(key)

    def ended(self, key: str) -> dict[str, Any]:
        """A call at its end."""
        return self.until_call(key, state="ended")

    def until_call(self, key: str, **wanted: str) -> dict[str, Any]:
        """A call, once these of its fields are so."""
        self.until(
            lambda e: (
                e["type"] == "call"
                and e["call"]["id"] == key
                and wanted.items() <= e["call"].items()
            )
        )
        return self.call(key)

    def write(self, old: str, new: str) -> None:
        """Change the code, as an editor does: the new file takes the place of the old."""
        path = self.folder / "app.py"
        text = path.read_text()
        assert old in text
        other = self.folder / "app.py~"
        other.write_text(text.replace(old, new))
        other.replace(path)

    def children(self) -> list[int]:
        """The processes with the app."""
        found = subprocess.run(
            ["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True
        ).stdout
        return [int(pid) for pid in found.split()]

    def stop(self, number: int = signal.SIGINT) -> int:
        """End it; its status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(WAIT)
        self.browser.close()
        for thread in self._threads:
            thread.join(WAIT)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status

    def _until(self, look: Callable[[], Any]) -> Any:
        found = queue.SimpleQueue[Any]()

        def there() -> bool:
            if (value := look()) is not None:
                found.put(value)
                return True
            return self.process.poll() is not None

        with self._came:
            self._came.wait_for(there, WAIT)
        assert not found.empty(), (self.lines, self.events[-5:])
        return found.get()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._came:
                self.lines.append(line)
                self._came.notify_all()
        self.process.wait()
        with self._came:
            self._came.notify_all()

    def _watch(self) -> None:
        try:
            with httpx.stream(
                "GET",
                f"{self.url}events",
                params={"after": self.seq - 1000},
                cookies=self.browser.cookies,
                timeout=httpx.Timeout(None),
            ) as stream:
                for line in stream.iter_lines():
                    if line.startswith("data: "):
                        with self._came:
                            self.events.append(json.loads(line[6:]))
                            self._came.notify_all()
        except httpx.TransportError:
            pass  # it was killed


def is_alive(pid: int) -> bool:
    """Whether there is such a process that is more than a name."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_until_gone(pids: list[int]) -> None:
    """Wait until none of them is left."""
    give_up = time.monotonic() + WAIT
    while any(map(is_alive, pids)):
        assert time.monotonic() < give_up, pids
        time.sleep(0.02)
