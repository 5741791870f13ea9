"""Sockets and file descriptors: the listener of the service, and the limit of connections."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import signal
import socket
import stat
import sys
from collections.abc import Collection
from typing import Any, cast

from receiver.errors import SettingsError

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

IS_POSIX = hasattr(signal, "SIGHUP") and hasattr(socket, "AF_UNIX")
"""Whether this system can pass sockets to other processes: several workers, reload, handover."""

BACKLOG = 2048
"""Length of the accept queue: a PBX is likely to open a connection for each callback."""

MAX_CONNECTIONS = 20_000
"""Most connections at the same time, regardless of descriptors."""


def bind(host: str, port: int, setting: str = "--host and --port") -> socket.socket:
    """Return a socket that listens on an address.

    Parameters:
        host: the address.
        port: 0 for a free one.
        setting: the option or variable of the address, for the error.

    Raises:
        SettingsError: the address is not one of this machine's, or is in use.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Without the protocol's number asyncio does not disable Nagle's algorithm on accepted
    # connections, and the second request of digest waits 40 ms for an acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or error
        is_used = error.args[:1] == (errno.EADDRINUSE,)
        other = ", or end the process that listens there" if is_used else ""  # it may be in service
        raise SettingsError(
            f"cannot listen on {host} port {port}: {reason}; choose another with {setting}{other}"
        ) from None
    listener.set_inheritable(True)
    return listener


def url_of(listener: socket.socket, host: str = "127.0.0.1", *, tls: bool) -> str:
    """Return the URL of ``listener``."""
    name = listener.getsockname()
    if not isinstance(name, tuple):
        return f"unix:{name if isinstance(name, str) else name.decode(errors='replace')}"
    address = f"[{host}]" if ":" in host else host
    return f"{'https' if tls else 'http'}://{address}:{name[1]}"


def close_in_children(listener: socket.socket) -> None:
    """Close ``listener`` and its connections in each child that is forked from this process.

    Otherwise the app's own processes would keep the port open when the service stops, and
    callbacks would get no answer. SIGTERM ends such a child.
    """
    if not _SERVED and hasattr(os, "register_at_fork"):
        null = os.open(os.devnull, os.O_RDWR)
        os.register_at_fork(after_in_child=functools.partial(_give_up_served, null))
    _SERVED.add(place_of_listener(listener))


Place = tuple[int, str, int] | str | bytes
"""The address of a listener: family, address (empty for any) and port; or the path."""

_SERVED: set[Place] = set()


def place_of_listener(listener: socket.socket) -> Place:
    """Return the addresses of ``listener``, see `is_served`."""
    name = listener.getsockname()
    if not isinstance(name, tuple):
        return cast("str | bytes", name)
    is_any = name[0] in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
    return listener.family, "" if is_any else name[0], name[1]


def is_served(sock: socket.socket, places: Collection[Place]) -> bool:
    """Return whether a socket listens at one of ``places``, or is connected to such a listener.

    The app itself may have servers on the same port of other addresses.

    Raises:
        OSError: it is closed.
    """
    if sock.type != socket.SOCK_STREAM:
        return False
    name = sock.getsockname()
    if not isinstance(name, tuple):
        return name in places
    return (sock.family, "", name[1]) in places or (sock.family, *name[:2]) in places


def _give_up_served(null: int) -> None:
    signal.set_wakeup_fd(-1)  # it belongs to the parent's event loop
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for descriptor in map(int, os.listdir("/dev/fd")):
        with contextlib.suppress(OSError):
            if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                continue
            sock = socket.socket(fileno=descriptor)
            try:
                if is_served(sock, _SERVED):
                    # The number stays in use, because an object in this process will close it.
                    os.dup2(null, descriptor, inheritable=False)
            finally:
                sock.detach()


def max_connections() -> int:
    """Return the connection limit, which leaves descriptors for everything else."""
    limit = descriptor_limit()
    return min(max(limit - 124, limit // 2), MAX_CONNECTIONS)


def descriptor_limit() -> int:
    """Return how many descriptors this process may have; 1024 where that is unknown."""
    if resource is None:  # Windows
        return 1024
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft > 0 else sys.maxsize


def take_descriptors() -> None:
    """Raise the soft limit of descriptors to the hard limit; the default is soon reached."""
    if resource is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def stream_socket(descriptor: int) -> socket.socket:
    """Return the socket, TCP or Unix, with a descriptor from another process.

    A TCP socket gets the protocol's number, as in `bind`: not every system reports it.

    Raises:
        OSError: it is not a socket.
    """
    with socket.socket(fileno=descriptor) as sock:
        family, kept = sock.family, sock.detach()
    protocol = socket.IPPROTO_TCP if family in (socket.AF_INET, socket.AF_INET6) else 0
    return socket.socket(family, socket.SOCK_STREAM, protocol, fileno=kept)


def has_unread(descriptor: int) -> bool:
    """Return whether a connection has unread octets.

    Parameters:
        descriptor: of the connection, which must stay open meanwhile.
    """
    connected = socket.socket(fileno=descriptor)
    try:
        connected.settimeout(0)
        return bool(connected.recv(1, socket.MSG_PEEK))
    except OSError:
        return False
    finally:
        connected.detach()


def address_of(peer: Any) -> tuple[str, int] | None:
    """Return the client of a connection as ASGI has it; None for a connection to a path."""
    return (str(peer[0]), int(peer[1])) if isinstance(peer, tuple) and len(peer) > 1 else None


def place_of(sockname: Any) -> tuple[str, int | None] | None:
    """Return the server's end as ASGI has it: address and port, or path and None."""
    return (sockname, None) if isinstance(sockname, str) else address_of(sockname)
