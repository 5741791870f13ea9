"""Processes that tests start, none of which outlives its test.

Rule 1: each is the leader of a process group; at the end of the test the whole group is killed,
        workers included, whether the test passed, failed or timed out.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from typing import Any


def kill_group(leader: int) -> None:
    """Kill the processes of the group of a process that was started with ``process_group=0``."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


class Processes:
    """Starts processes, and ends them all."""

    def __init__(self) -> None:
        self._started = list[subprocess.Popen[str]]()

    def start(self, command: Sequence[str], **options: Any) -> subprocess.Popen[str]:
        """Start a process whose streams are text; options as of `subprocess.Popen`."""
        process = subprocess.Popen(command, text=True, process_group=0, **options)
        self._started.append(process)
        return process

    def end(self) -> None:
        """Kill those that still run, with their children, and close the pipes to them."""
        for process in self._started:
            kill_group(process.pid)
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
