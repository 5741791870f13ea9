"""Sockets and their descriptors: what the service listens with, and how many there may be."""

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
from typing import cast

from receiver.errors import SettingsError

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

IS_POSIX = hasattr(signal, "SIGHUP") and hasattr(socket, "AF_UNIX")
"""Whether this system can pass sockets to other processes: several workers, reload, handover."""

BACKLOG = 2048
"""Connections that may wait: a PBX is likely to open one for each callback."""

MOST = 20_000
"""Connections at once, however many descriptors there are."""


def bind(host: str, port: int, setting: str = "--host and --port") -> socket.socket:
    """Return a socket that listens on an address.

    Parameters:
        host: the address.
        port: 0 takes a free one.
        setting: what the address was set with, for the error.

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
        reason = getattr(error, "strerror", None) or error
        is_used = error.args[:1] == (errno.EADDRINUSE,)
        cure = "end what listens there, or choose another" if is_used else "choose another"
        raise SettingsError(
            f"cannot listen on {host} port {port}: {reason}; {cure} with {setting}"
        ) from None
    listener.set_inheritable(True)
    return listener


def url_of(listener: socket.socket, host: str = "127.0.0.1", *, tls: bool) -> str:
    """Return where ``listener`` is reached."""
    name = listener.getsockname()
    if not isinstance(name, tuple):
        return f"unix:{name if isinstance(name, str) else name.decode(errors='replace')}"
    address = f"[{host}]" if ":" in host else host
    return f"{'https' if tls else 'http'}://{address}:{name[1]}"


def close_in_children(listener: socket.socket) -> None:
    """Close ``listener`` and its connections in each child that is forked from this process.

    Otherwise the app's own processes would keep the port open when the service stops, and callers
    without an answer. SIGTERM ends such a child.
    """
    if not _SERVED and hasattr(os, "register_at_fork"):
        null = os.open(os.devnull, os.O_RDWR)
        os.register_at_fork(after_in_child=functools.partial(_give_up_served, null))
    _SERVED.add(place_of_listener(listener))


Place = tuple[int, str, int] | str | bytes
"""Where a socket listens: the family, the address, empty for any, and the port; or the path."""

_SERVED: set[Place] = set()


def place_of_listener(listener: socket.socket) -> Place:
    """Return where ``listener`` listens, see `is_served`."""
    name = listener.getsockname()
    if not isinstance(name, tuple):
        return cast("str | bytes", name)
    is_any = name[0] in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
    return listener.family, "" if is_any else name[0], name[1]


def is_served(found: socket.socket, places: Collection[Place]) -> bool:
    """Return whether a socket listens at one of ``places``, or is a connection to a listener there.

    The app itself may have servers on the same port of other addresses.

    Raises:
        OSError: it is closed.
    """
    if found.type != socket.SOCK_STREAM:
        return False
    name = found.getsockname()
    if not isinstance(name, tuple):
        return name in places
    return (found.family, "", name[1]) in places or (found.family, *name[:2]) in places


def _give_up_served(null: int) -> None:
    signal.set_wakeup_fd(-1)  # it is the event loop's of the parent
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for descriptor in map(int, os.listdir("/dev/fd")):
        with contextlib.suppress(OSError):
            if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                continue
            found = socket.socket(fileno=descriptor)
            try:
                if is_served(found, _SERVED):
                    # The number stays taken, for an object in this process will close it.
                    os.dup2(null, descriptor, inheritable=False)
            finally:
                found.detach()


def most_connections() -> int:
    """Return the connection limit, so that descriptors are left for everything else."""
    limit = descriptor_limit()
    return min(max(limit - 124, limit // 2), MOST)


def descriptor_limit() -> int:
    """Return how many descriptors this process may have; 1024 where that is unknown."""
    if resource is None:  # Windows
        return 1024
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft > 0 else sys.maxsize


def take_descriptors() -> None:
    """Raise the limit of descriptors as far as it goes; the usual one is soon reached."""
    if resource is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def stream_socket(descriptor: int) -> socket.socket:
    """Return the socket, TCP or Unix, with a descriptor that came from another process.

    A TCP socket has the protocol's number, as those of `bind` have: not every system tells it.

    Raises:
        OSError: it is no socket.
    """
    with socket.socket(fileno=descriptor) as found:
        family, kept = found.family, found.detach()
    protocol = socket.IPPROTO_TCP if family in (socket.AF_INET, socket.AF_INET6) else 0
    return socket.socket(family, socket.SOCK_STREAM, protocol, fileno=kept)


def has_unread(descriptor: int) -> bool:
    """Return whether octets arrived on a connection that are not read yet.

    Parameters:
        descriptor: of the connection, which is not closed meanwhile.
    """
    connected = socket.socket(fileno=descriptor)
    try:
        connected.settimeout(0)
        return bool(connected.recv(1, socket.MSG_PEEK))
    except OSError:
        return False
    finally:
        connected.detach()
