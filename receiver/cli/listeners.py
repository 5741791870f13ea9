"""Listeners other than a TCP port: a Unix socket, and sockets that another process has bound."""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path

from receiver.errors import SettingsError
from receiver.server.sockets import BACKLOG, stream_socket


def bind_unix(path: Path) -> socket.socket:
    """Return a socket that listens at a path, for a proxy of this user or of its group.

    Raises:
        SettingsError: the path is not a socket, another service listens there, or it cannot be
            bound.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if stat.S_ISSOCK(path.stat().st_mode if path.exists() else 0):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
                if other.connect_ex(str(path)) == 0:
                    raise OSError(errno.EADDRINUSE, "another service listens there")
            path.unlink()
        listener.bind(str(path))
        path.chmod(0o660)  # before it listens
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise SettingsError(f"cannot listen on {path}: {error.strerror or error}") from None
    listener.set_inheritable(True)
    return listener


def adopt(descriptor: int) -> socket.socket:
    """Return the listening socket with this descriptor.

    Raises:
        SettingsError: it is not a listening stream socket.
    """
    try:
        listener = stream_socket(descriptor)
        if not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise OSError
    except OSError:
        raise SettingsError(f"descriptor {descriptor} is not a listening stream socket") from None
    listener.set_inheritable(True)
    return listener


def activated() -> int | None:
    """Return the descriptor of the socket that systemd listens on for this process, if it does.

    The protocol is that of sd_listen_fds(3): LISTEN_PID, LISTEN_FDS, descriptors from 3 on.

    Raises:
        SettingsError: there are several.
    """
    pid, count = (os.environ.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS"))
    if pid != str(os.getpid()) or not count.isdecimal() or count == "0":
        return None
    if count != "1":
        raise SettingsError(f"systemd passed {count} sockets: only one ListenStream= is supported")
    return 3
