"""What a service listens with: a socket, TLS, and enough descriptors.

Rule 1: TLS is 1.2 or newer, with Python's own choice of ciphers.
Rule 2: more connections than there are descriptors would keep everybody out, silently.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
import ssl
from pathlib import Path

from receiver.errors import SettingsError

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

log = logging.getLogger("receiver")

BACKLOG = 2048
"""Connections that may wait: a PBX is likely to open one for each callback."""

MOST = 20_000
"""Connections at once, however many descriptors there are."""

MOST_CONNECTIONS = 900
"""Connections at once, where nobody knows how many descriptors there are."""


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 takes a free one.

    Raises:
        SettingsError: the address is not one of this machine's, or is in use.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Without the protocol's number asyncio does not switch Nagle's algorithm off on what is
    # accepted, and the second leg of digest waits 40 ms for an acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        why = f"cannot listen on {host} port {port}: {getattr(error, 'strerror', None) or error}"
        if error.args[:1] == (errno.EADDRINUSE,):
            why += "; end what listens there, or choose another with --port"
        raise SettingsError(why) from None
    listener.set_inheritable(True)
    return listener


def url_of(listener: socket.socket, host: str = "127.0.0.1", *, tls: bool) -> str:
    """Where ``listener`` is reached."""
    address = f"[{host}]" if ":" in host else host
    return f"{'https' if tls else 'http'}://{address}:{listener.getsockname()[1]}"


def secured(certfile: Path, keyfile: Path | None = None) -> ssl.SSLContext:
    """TLS with a certificate chain and its key, in PEM; the key may be in the same file.

    Raises:
        SettingsError: a file cannot be read or is no PEM, or the key is encrypted or another's.
    """
    keyfile = keyfile or certfile
    for path, what, label in (
        (certfile, "certificate", b"-----BEGIN CERTIFICATE-----"),
        (keyfile, "private key", b"PRIVATE KEY-----"),
    ):
        try:
            found = label in path.read_bytes()
        except OSError as error:
            raise SettingsError(f"cannot read {path}: {error.strerror}") from None
        if not found:
            raise SettingsError(f"{path} has no {what} in PEM")

    def encrypted() -> str:
        raise SettingsError(
            f"the key in {keyfile} is encrypted, which is not taken: write a plain one, readable "
            "by the service alone, with: openssl pkey -in KEY -out PLAIN"
        )

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        context.load_cert_chain(certfile, keyfile, encrypted)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise SettingsError(f"the key in {keyfile} is not that of {certfile}") from None
        raise SettingsError(
            f"{certfile} and {keyfile} cannot be used: {error.reason or 'broken PEM'}"
        ) from None
    return context


def most_connections() -> int:
    """How many there may be at once, so that descriptors are left for everything else."""
    if resource is None:  # Windows
        return MOST_CONNECTIONS
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(max(soft - 124, soft // 2), MOST) if soft > 0 else MOST


def take_descriptors() -> None:
    """As many as this process may have; the usual limit is a quarter of what a flood needs."""
    if resource is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
