"""The environment for the commands of a guide page: a PBX and a service, or recordings."""

from __future__ import annotations

import re
import secrets
import sys
import tomllib
from pathlib import Path

from tests.documents import ROOT, Runner

PROGRAM = """\
from receiver import Call, Forward, Ivr, Receiver, Repeat, Reply

sales = Ivr("8000")

@sales.dtmf("1;22;1000-1999", fallback=Forward("0"))
async def pick(call: Call) -> Reply:
    return Forward("222") if call.digits == "22" else Repeat()

app = Receiver(sales)
"""


def prepare(runner: Runner, name: str) -> None:
    """Prepare the folder of a page: ``service``, ``recording``, or nothing."""
    if not name:
        return
    runner.folder.joinpath("app.py").write_text(PROGRAM)
    env = runner.folder / ".env"
    env.write_text(f"RECEIVER_SECRET={secrets.token_hex(32)}\nRECEIVER_PBX_TOKEN=token-of-a-test\n")
    runner.environ["RECEIVER_RECORD"] = ""
    if name == "recording":
        runner.folder.joinpath("calls").mkdir()
        runner.environ["RECEIVER_RECORD"] = str(runner.folder / "calls")
    service = runner.start("receiver serve app:app --port 0", "serving on http://")
    (url,) = re.findall(r"serving on (http://\S+)", "".join(service.lines))
    runner.environ["RECEIVER_RECORD"] = ""
    if name == "recording":
        runner.shell(
            f"receiver load app:app 8000 --http {url} --press 22 --rate 5 --for 1 --least 0"
        )
        service.stop()
        return
    assert name == "service"
    simulate = "receiver simulate --port 0 --token token-of-a-test --ivr 8000=Sales"
    pbx = runner.start(simulate, "serving on http://")
    (pbx_url,) = re.findall(r"serving on (http://\S+)", "".join(pbx.lines))
    with env.open("a") as file:
        file.write(f"RECEIVER_PUBLIC_URL={url}\nRECEIVER_PBX_URL={pbx_url}\n")


def add_pip(folder: Path) -> str:
    """Put a ``pip`` into ``folder`` that installs nothing, and fails for an unknown extra."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    folder.mkdir()
    pip = folder / "pip"
    pip.write_text(
        f"#!{sys.executable}\nimport re, sys\n"
        f"extras = set(','.join(re.findall(r'\\[(.*?)\\]', ' '.join(sys.argv))).split(','))\n"
        f"sys.exit(f'unknown: {{extras}}' if extras - {set(extras) | {''}} else 0)\n"
    )
    pip.chmod(0o755)
    return str(folder)
