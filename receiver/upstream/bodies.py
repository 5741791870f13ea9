"""The body of an answer as it comes: decoded, and never larger than it may be.

Rule 1: we ask for ``identity``, so what is compressed comes from a service, or a gateway before it,
        that compresses whatever it is asked for. There are such, and what they speak is gzip: to
        refuse it would keep a CRM out that works. Any other coding is left as it came, which is no
        JSON; the status counts all the same.
Rule 2: what was made small is let out only as far as the limit, piece by piece: an answer that
        would be larger costs no more memory and time than one that is as large as it may be.
Rule 3: as it came it may not be larger either: compressed nothing goes on without end.
"""

from __future__ import annotations

import zlib

from receiver.errors import UpstreamError

_WINDOW = 16 + zlib.MAX_WBITS  # how zlib is told that there is a gzip header


class Body:
    """Takes the octets of one answer.

    Parameters:
        origin: whose, for errors.
        coding: its Content-Encoding.
        largest: most octets, as they came and decoded.
    """

    def __init__(self, origin: str, coding: str, largest: int) -> None:
        packed = coding.strip().lower() in ("gzip", "x-gzip")
        self._origin = origin
        self._largest = largest
        self._inflate = zlib.decompressobj(_WINDOW) if packed else None
        self._came = 0
        self._octets = bytearray()

    def feed(self, octets: bytes) -> None:
        """Take what came next.

        Raises:
            UpstreamError: it is too much, or cannot be decoded.
        """
        self._came += len(octets)
        if self._inflate is None:
            self._octets += octets
        else:
            try:
                self._let_out(self._inflate, octets)
            except zlib.error:
                raise self._undecodable() from None
        if max(self._came, len(self._octets)) > self._largest:
            raise UpstreamError(f"the answer of {self._origin} is over {self._largest} octets")

    def whole(self) -> bytes:
        """All of it, now that it has ended.

        Raises:
            UpstreamError: it has ended too early.
        """
        if self._inflate is not None and self._came and not self._inflate.eof:
            raise self._undecodable()
        return bytes(self._octets)

    def _let_out(self, inflate: zlib._Decompress, octets: bytes) -> None:
        while octets and (room := self._largest + 1 - len(self._octets)) > 0:
            if inflate.eof:  # one member may follow another (RFC 1952, section 2.2)
                inflate = zlib.decompressobj(_WINDOW)
            self._octets += inflate.decompress(octets, room)  # one more tells too much from enough
            octets = inflate.unused_data
        self._inflate = inflate

    def _undecodable(self) -> UpstreamError:
        return UpstreamError(f"the answer of {self._origin} cannot be decoded")
