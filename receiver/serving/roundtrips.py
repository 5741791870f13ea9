"""What a round trip to the sender of a request costs, as the kernel measured it anyway.

Rule: it is a lower bound, and honest for what it is: the way to whoever made the connection, a
      proxy if there is one, and nothing of what he does himself. It is known where the system tells
      it (Linux), once the connection is made; a handshake that had to be repeated tells nothing.

Source: ``tcpi_rtt`` of Linux's struct tcp_info, the 16th of its 32-bit words after 8 octets.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Mapping
from typing import Any

CONNECTION = "receiver.connection"
"""Key of the scope: the transport on which a request came."""

_TCP_INFO: int | None = getattr(socket, "TCP_INFO", None) if sys.platform == "linux" else None
_BEGIN, _END = 68, 72


def round_trip(scope: Mapping[str, Any]) -> float:
    """Seconds, smoothed; 0 if they are not known."""
    connection: asyncio.BaseTransport | None = scope.get(CONNECTION)
    if connection is None or _TCP_INFO is None:
        return 0.0
    try:
        end = connection.get_extra_info("socket")
        info = end.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _END)
    except (OSError, AttributeError):  # it is no TCP, is closed, or has no socket
        return 0.0
    return int.from_bytes(info[_BEGIN:], sys.byteorder) / 1e6
