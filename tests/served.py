"""``receiver serve`` as a process, for tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.processes import kill_group

LONGEST = 240.0
"""Seconds until the log has what a test waits for: on a busy machine a process starts slowly."""


@dataclass
class Service:
    """``receiver serve`` as a process, and what it logs."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    came: threading.Condition = field(default_factory=threading.Condition)
    reader: threading.Thread | None = None
    ended: bool = False
    url: str = ""

    @classmethod
    def begin(cls, folder: Path, target: str, options: str, environ: Mapping[str, str]) -> Service:
        """Start it on a free port, in ``folder``."""
        command = [sys.executable, "-m", "receiver", "serve", target, "--port", "0"]
        process = subprocess.Popen(
            [*command, *options.split()],
            env={**os.environ, **environ},
            cwd=folder,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )
        service = cls(process)
        service.reader = threading.Thread(target=service.read, daemon=True)
        service.reader.start()
        return service

    def wait(self, workers: int) -> None:
        """Wait until ``count`` workers serve."""
        self.until(r"Application startup complete", workers)
        self.url = self.until(r"serving on (http://\S+)")[0]

    def end(self) -> None:
        """Stop it; if it does not stop in 60 seconds, kill the whole group and raise."""
        try:
            if self.process.poll() is None:
                # Once: a second SIGTERM kills the workers, and coverage loses the lines they ran.
                self.process.terminate()
            self.process.wait(60)
        finally:
            kill_group(self.process.pid)
        assert self.reader is not None
        self.reader.join(60)  # until no worker has standard error any more

    def read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in lines:
                with self.came:
                    self.lines.append(line)
                    self.came.notify_all()
        with self.came:
            self.ended = True
            self.came.notify_all()

    def until(self, pattern: str, count: int = 1) -> list[str]:
        """Return the matches of the pattern in the log, once there are ``count``."""

        def found() -> list[str]:
            return re.findall(pattern, "".join(self.lines))

        with self.came:
            self.came.wait_for(lambda: len(found()) >= count or self.ended, LONGEST)
            assert len(found()) >= count, self.lines
        return found()

    def workers(self) -> list[int]:
        return [int(pid) for pid in self.until(r"Started server process \[(\d+)\]")]
