"""Decode bodies within a size limit.

Rule 1: Compressed data is decoded piece by piece up to the limit, so larger data costs no more
        memory and time than data of the maximum size.
Rule 2: Several gzip members may follow each other (RFC 1952, section 2.2).
Rule 3: Requests accept ``identity`` only, but some services, or a gateway before them, compress
        anyway, with gzip. Any other coding is not decoded; the body is then not valid JSON, and the
        status is still used.
Rule 4: The limit applies to the received octets too: gzip streams may be endless and empty.
"""

from __future__ import annotations

import zlib

from receiver.errors import UpstreamError

_WINDOW = 16 + zlib.MAX_WBITS  # selects the gzip format


class Gunzip:
    """A decoder of one gzip stream.

    Parameters:
        max_size: octets; decoding stops at the first one above.

    Attributes:
        octets: the decoded octets so far.
    """

    def __init__(self, max_size: int) -> None:
        self.octets = bytearray()
        self._max_size = max_size
        self._inflate = zlib.decompressobj(_WINDOW)

    @property
    def complete(self) -> bool:
        """Whether the last member has ended."""
        return self._inflate.eof

    def feed(self, octets: bytes) -> None:
        """Decode the next octets.

        Raises:
            ValueError: the data is not gzip.
        """
        inflate = self._inflate
        try:
            while octets and (left := self._max_size + 1 - len(self.octets)) > 0:
                if inflate.eof:
                    inflate = zlib.decompressobj(_WINDOW)
                # One octet above the limit shows that the data is too large.
                self.octets += inflate.decompress(octets, left)
                octets = inflate.unused_data
        except zlib.error:
            raise ValueError("not gzip") from None
        self._inflate = inflate


class Body:
    """The body of one response.

    Parameters:
        origin: of the response, for error texts.
        coding: its Content-Encoding.
        max_size: limit in octets, received and decoded.
    """

    def __init__(self, origin: str, coding: str, max_size: int) -> None:
        compressed = coding.strip().lower() in ("gzip", "x-gzip")
        self._origin = origin
        self._max_size = max_size
        self._gunzip = Gunzip(max_size) if compressed else None
        self._received = 0
        self._octets = bytearray() if self._gunzip is None else self._gunzip.octets

    def feed(self, octets: bytes) -> None:
        """Add the next octets.

        Raises:
            UpstreamError: the body is too large, or cannot be decoded.
        """
        self._received += len(octets)
        if self._gunzip is None:
            self._octets += octets
        else:
            try:
                self._gunzip.feed(octets)
            except ValueError:
                raise self._undecodable() from None
        if max(self._received, len(self._octets)) > self._max_size:
            raise UpstreamError(
                f"the answer of {self._origin} is larger than {self._max_size} octets"
            )

    def content(self) -> bytes:
        """Return the decoded body after its end.

        Raises:
            UpstreamError: the gzip stream is incomplete.
        """
        if self._gunzip is not None and self._received and not self._gunzip.complete:
            raise self._undecodable()
        return bytes(self._octets)

    def _undecodable(self) -> UpstreamError:
        return UpstreamError(f"the answer of {self._origin} cannot be decoded")
