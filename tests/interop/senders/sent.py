"""The input of a sender.

Rule 1: a sender sends ``times`` callbacks one after the other and gives back what it read, all
        bodies in a row; a callback that was refused adds nothing.
Rule 2: what it keeps between callbacks (a nonce and its count) it keeps over fresh connections too,
        as far as its library does.
"""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from typing import Literal, TypeVar

Scheme = Literal["bearer", "basic", "digest", "open"]
TIMEOUT = 120
"""Seconds after which a sender has hung."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sent:
    """The same callback, ``times`` times.

    Parameters:
        method: ``GET`` or ``POST``.
        url: with its query, for GET.
        body: JSON for POST; empty for GET.
        scheme: which of the credentials to use.
        fresh: a connection for each callback, instead of one for all.
    """

    method: str
    url: str
    body: str
    scheme: Scheme
    username: str = field(repr=False)
    password: str = field(repr=False)
    token: str = field(repr=False)
    times: int = 3
    fresh: bool = False

    @property
    def has_login(self) -> bool:
        """Whether user name and password are to be used."""
        return self.scheme in ("basic", "digest")

    @property
    def headers(self) -> dict[str, str]:
        """The headers that a sender must be given; it makes those of basic and digest itself."""
        content = {"Content-Type": "application/json"} if self.body else {}
        bearer = {"Authorization": f"Bearer {self.token}"} if self.scheme == "bearer" else {}
        return {**content, **bearer}

    def as_json(self, **more: str) -> str:
        """Return it as JSON on one line, for a script."""
        return json.dumps({**asdict(self), "headers": self.headers, **more})


@dataclass(frozen=True, slots=True)
class Need:
    """Something real that must be on the machine.

    Parameters:
        check: a command that succeeds if it is there.
        install: the command that puts it there.
    """

    name: str
    check: tuple[str, ...]
    install: str

    @functools.cache  # noqa: B019 - there are eight of them
    def is_met(self) -> bool:
        if not shutil.which(self.check[0]):
            return False
        return subprocess.run(self.check, capture_output=True, timeout=TIMEOUT).returncode == 0


def run(sent: Sent, *command: str) -> bytes:
    """Return the output of a program that takes several URLs; new connections are new runs."""
    runs = sent.times if sent.fresh else 1
    urls = [sent.url] * (sent.times // runs)
    return b"".join(
        subprocess.run((*command, *urls), capture_output=True, timeout=TIMEOUT).stdout
        for _ in range(runs)
    )


def ask_all(
    sent: Sent, connect: Callable[[], AbstractContextManager[T]], ask: Callable[[T], bytes]
) -> bytes:
    """Return what ``ask`` reads with one client, or with a client for each callback."""
    runs = sent.times if sent.fresh else 1
    read = b""
    for _ in range(runs):
        with connect() as client:
            for _ in range(sent.times // runs):
                read += ask(client)
    return read
