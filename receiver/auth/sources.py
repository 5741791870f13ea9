"""Where a callback came from, and whether callbacks may come from there.

Rule 1: the peer of the connection counts. Only a peer that is a trusted proxy is asked for more:
        its ``X-Forwarded-For`` or ``Forwarded``, read from the right for as long as what stands
        there is a trusted proxy itself. Whatever is further left, a stranger may have written.
Rule 2: what cannot be read, and two headers that disagree, leave the source unknown; what is
        unknown is in no list.
Rule 3: an IPv4 address in the clothes of IPv6 (``::ffff:192.0.2.1``) is the IPv4 address.

Values in, values out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Headers = Sequence[tuple[bytes, bytes]]

_MAPPED = IPv6Network("::ffff:0:0/96")
_NAMES = (b"x-forwarded-for", b"forwarded")
_HOP = re.compile(
    r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<four>[0-9.]+)):[0-9]{1,5}|\[(?P<bare>[^]]+)\]"
)
_PAIR = re.compile(
    r"""[ \t]* (?: (?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+)
        = (?: (?P<token>[!#$%&'*+.^_`|~0-9A-Za-z-]+) | "(?P<quoted>(?:[^"\\]|\\.)*)" ) )?
        [ \t]* (?P<end>[;,]|\Z)""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Source:
    """Who sent a callback.

    Attributes:
        address: None if it is not known.
        proxy: the trusted proxy that brought it; None if it came by itself.
        problem: why the address is not known, without anything that was sent.
        shared: whether strangers may come by the same address as the PBX: it is not known, is that
            of a proxy that tells nothing, or one of a network of one's own, where a proxy or a
            router that nobody named may stand before everybody.
    """

    address: Address | None = None
    proxy: Address | None = None
    problem: str = ""
    shared: bool = False

    def __str__(self) -> str:
        where = str(self.address or f"an unknown address ({self.problem})")
        return f"{where} by way of {self.proxy}" if self.proxy else where


class Sources:
    """Whence callbacks may come.

    Parameters:
        allowed: the networks of the PBX and of each IVR server; empty lets every source ask.
        proxies: the networks of proxies that are believed.
    """

    def __init__(self, allowed: Iterable[Network] = (), proxies: Iterable[Network] = ()) -> None:
        self._allowed = tuple(allowed)
        self._proxies = tuple(proxies)

    def find(self, client: tuple[str, int] | None, headers: Headers) -> Source:
        """Who sent a request.

        Parameters:
            client: the peer's address and port, as the server tells them.
            headers: of the request.
        """
        peer, port = client or ("", 0)
        near = read_address(peer)
        if near is None:
            return Source(problem="the server does not tell it", shared=True)
        if not port:  # no connection has that: uvicorn has read the headers of a proxy
            return Source(problem="the server believes proxies by itself", shared=True)
        if not _in(near, self._proxies):
            return _alone(peer)
        told = [self._follow(name, near, headers) for name in _NAMES]
        given = [one for one in told if one is not None]
        if len(set(given)) > 1:
            return Source(None, near, "X-Forwarded-For and Forwarded disagree", shared=True)
        return given[0] if given else Source(near, shared=True)

    def allows(self, source: Source) -> bool:
        """Whether a callback may come from there."""
        return not self._allowed or self.lists(source)

    def lists(self, source: Source) -> bool:
        """Whether there is a list, and ``source`` is on it."""
        return source.address is not None and _in(source.address, self._allowed)

    def _follow(self, name: bytes, near: Address, headers: Headers) -> Source | None:
        """What the header ``name`` tells; None if it is not there."""
        lines = [value.decode("latin-1") for key, value in headers if key == name]
        if not lines:
            return None
        hops = (_read_list if name == b"x-forwarded-for" else _read_forwarded)(lines)
        if hops is None:
            return Source(None, near, f"{name.decode()} cannot be read", shared=True)
        far: Address | None = near
        for hop in reversed(hops):
            far = _read_hop(hop.strip(" \t"))
            if far is None:
                return Source(None, near, f"{name.decode()} cannot be read", shared=True)
            if not _in(far, self._proxies):
                break
        return Source(far, near)


def read_networks(text: str) -> tuple[Network, ...]:
    """Addresses and networks with commas or spaces between them.

    Parameters:
        text: as in ``203.0.113.7, 198.51.100.0/24, 2001:db8::/48``.

    Raises:
        ValueError: one of them is neither; the text says which, and what was probably meant.
    """
    return tuple(map(_read_network, text.replace(",", " ").split()))


@lru_cache(1024)
def read_address(text: str) -> Address | None:
    """An address without its zone, mapped IPv4 as IPv4; None if it is none."""
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (isinstance(found, IPv6Address) and found.ipv4_mapped) or found


@lru_cache(1024)
def _alone(peer: str) -> Source:
    """Who came by himself."""
    near = read_address(peer)
    return Source(near, shared=near is None or not near.is_global)


def _read_network(text: str) -> Network:
    try:
        loose = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is neither an address nor a network") from None
    if loose.prefixlen == 0:
        raise ValueError(f"{text!r} is everywhere: leave it out")
    if "/" in text and ip_network(text.partition("/")[0])[0] != loose[0]:
        raise ValueError(f"{text!r} is not the beginning of a network: did you mean {loose}?")
    if isinstance(loose, IPv6Network) and loose.subnet_of(_MAPPED):
        mapped = loose.network_address.ipv4_mapped
        return IPv4Network(f"{mapped}/{loose.prefixlen - 96}")
    return loose


def _read_list(lines: Iterable[str]) -> list[str]:
    return [hop for text in lines for hop in text.split(",")]


def _read_forwarded(lines: Iterable[str]) -> list[str] | None:
    """The ``for=`` of each element, RFC 7239 section 4; empty where there is none.

    None if a single line cannot be read to its end: an open quote would swallow what a proxy
    appended, and what is left would be the stranger's own.
    """
    hops: list[str] = []
    for text in lines:
        position, hop = 0, ""
        while True:
            found = _PAIR.match(text, position)
            if found is None:
                return None
            if (found["name"] or "").lower() == "for":
                if hop:
                    return None
                hop = found["token"] or re.sub(r"\\(.)", r"\1", found["quoted"] or "") or "none"
            position = found.end()
            if found["end"] != ";":
                hops.append(hop)
                hop = ""
            if not found["end"]:
                break
    return hops


def _read_hop(text: str) -> Address | None:
    found = _HOP.fullmatch(text)
    if found is None:
        return read_address(text)
    return read_address(found["six"] or found["four"] or found["bare"])


def _in(address: Address, networks: tuple[Network, ...]) -> bool:
    return bool(networks) and any(
        address.version == one.version and address in one for one in networks
    )
