"""The exit status of the commands, and the part of their help that documents it.

Rule 1: 1 is a finding (a difference, a fault, a failed call) or an operation that failed; 2 is
        wrong use, or a missing or wrong setting or declaration.
Rule 2: where 1 is a difference (``drift``, ``plan --exit-code``), 2 is any error, as for diff(1).
"""

from __future__ import annotations

import shutil
import textwrap

import click

FINDING = 1
"""The command has a finding: a difference, a fault, a failed call."""

DELETES_LEFT = 3
"""``apply`` made all changes except deletes, which were not allowed."""

UNEXPECTED = 70
"""An unexpected error, a fault of this program (EX_SOFTWARE of sysexits.h)."""

INTERRUPTED = 130
"""After SIGINT (Ctrl-C), as in shells."""

TERMINATED = 143
"""After SIGTERM, as in shells."""

_FAILED = "an operation failed, such as a request to the PBX or a file to write"
_WRONG = "wrong use, or a setting or a declaration is missing or wrong"

_FINDINGS = {
    "plan": (
        "an IVR is not on the PBX, or the PBX could not be read; with --exit-code: something is to "
        "be changed"
    ),
    "drift": "something differs",
    "apply": (
        "an error, such as one of the service; or an IVR is not on the PBX or was refused, and "
        "everything else was done"
    ),
    "destroy": (
        "an error; or action URLs are left that were registered with another RECEIVER_SECRET, or "
        "at another public URL"
    ),
    "rotate": "an error; or an IVR is not on the PBX, or not all credentials are new",
    "doctor": "there is a fault",
    "dial": "a callback failed",
    "demo": "a call did not end as expected",
    "scenario": "a call ended differently",
    "load": "a smaller share than --least was answered in time, or nothing was",
    "replay": "an answer differs",
    "serve": "no worker could start",
    "jobs": "the queue is unavailable, or a question was answered with no",
}
_ERRORS = {
    "plan": f"{_WRONG}; with --exit-code: any error",
    "drift": "any error: whether something differs is unknown",
}
_OTHERS = {
    "apply": {
        DELETES_LEFT: (
            "everything is done except deletes, which need --allow-deletes without a terminal"
        )
    },
}


def documented(command: click.Command, name: str) -> click.Command:
    """Return ``command`` with its exit statuses at the end of its help, subcommands included."""
    if isinstance(command, click.Group):
        for one in command.commands.values():
            documented(one, name)
        return command
    statuses = {0: "success", 1: _FINDINGS.get(name, _FAILED), 2: _ERRORS.get(name, _WRONG)}
    lines = ["\b", "Exit status:"]
    width = min(76, max(shutil.get_terminal_size().columns - 4, 1))
    for status, text in {**statuses, **_OTHERS.get(name, {})}.items():
        lines += textwrap.wrap(
            text, width, initial_indent=f"  {status}  ", subsequent_indent=" " * 5
        )
    command.epilog = "\n".join(lines)
    return command
