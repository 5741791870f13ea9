"""The options of ``receiver serve``: where and how it listens."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass
from pathlib import Path

from receiver.cli import listeners
from receiver.cli.certificate import Certificate
from receiver.errors import SettingsError
from receiver.server import sockets
from receiver.settings import PREFIX, environment

PUBLISHER = "--publisher"
"""The option for the descriptor of the socket between a worker and the console."""

WorkerArguments = tuple[int, int, int]
"""The values of `WORKER`: a number, the descriptors of the listener and of the channel."""


@dataclass(frozen=True, slots=True)
class Listen:
    """The options that concern the socket, each named as on the command line.

    Attributes:
        notice, keep_alive: in seconds.
    """

    host: str
    port: int
    uds: Path | None
    fd: int | None
    certfile: Path | None
    keyfile: Path | None
    notice: float
    keep_alive: int

    def check(self) -> None:
        """Raise SettingsError if options exclude each other or need another system."""
        if self.keyfile and not self.certfile:
            raise SettingsError("--keyfile is the key of a certificate: set --certfile too")
        if self.uds and self.fd is not None:
            raise SettingsError("--uds and --fd exclude each other: use one of them")
        if not sockets.IS_POSIX and (self.uds or self.fd is not None):
            raise SettingsError("--uds and --fd need Linux, macOS or another POSIX system")

    def bind(self) -> socket.socket:
        """Return the listening socket.

        Raises:
            SettingsError: the address or the socket cannot be used.
        """
        descriptor = listeners.activated() if self.fd is None else self.fd
        if self.uds:
            return listeners.bind_unix(self.uds)
        if descriptor is not None:
            return listeners.adopt(descriptor)
        return sockets.bind(self.host, self.port)

    def url(self, listener: socket.socket) -> str:
        """Return the URL of ``listener``."""
        return sockets.url_of(listener, self.host, tls=bool(self.certfile))

    def certificate(self) -> Certificate | None:
        """Read the certificate; None without TLS.

        Raises:
            SettingsError: it cannot be read.
        """
        return Certificate(self.certfile, self.keyfile) if self.certfile else None

    def for_worker(self) -> list[str]:
        """Return the options that are passed on to a worker."""
        options = {
            "--host": self.host,
            "--certfile": self.certfile,
            "--keyfile": self.keyfile,
            "--notice": self.notice,
            "--keep-alive": self.keep_alive,
        }
        given = [option for option in options.items() if option[1] is not None]
        return [str(part) for option in given for part in option]


def log_format() -> str:
    """Return the format of the log, also while other settings or the app are wrong."""
    with contextlib.suppress(SettingsError):
        if environment().get(f"{PREFIX}LOG_FORMAT") == "json":
            return "json"
    return "text"
