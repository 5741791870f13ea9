"""The round-trip time of a TCP connection, as measured by the kernel.

Rule: it is a lower bound: the time to the peer of the connection, which may be a proxy, without the
      peer's own delay. Linux measures it during the handshake, unless that had to be repeated.

Source: ``tcpi_rtt`` of Linux's struct tcp_info, the 16th of its 32-bit words after 8 octets.
"""

from __future__ import annotations

import asyncio
import socket
import sys

_TCP_INFO: int | None = getattr(socket, "TCP_INFO", None) if sys.platform == "linux" else None
_BEGIN, _END = 68, 72


def round_trip(connection: asyncio.BaseTransport | None) -> float:
    """Return the smoothed round-trip time of a connection in seconds; 0 if it is not known."""
    if connection is None or _TCP_INFO is None:
        return 0.0
    try:
        end = connection.get_extra_info("socket")
        info = end.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _END)
    except (OSError, AttributeError):  # no TCP, closed, or without a socket
        return 0.0
    return int.from_bytes(info[_BEGIN:], sys.byteorder) / 1e6
