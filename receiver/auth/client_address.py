"""The client address of a callback, and whether it is one of the allowed sources.

Rule 1: the client address is the peer of the connection. If the peer is a trusted proxy, its
        ``X-Forwarded-For`` or ``Forwarded`` is read from the right, up to the first entry that is
        not a trusted proxy. Entries further left may be forged.
        Both headers are parsed before authentication, so their length is bounded and they are
        parsed in linear time.
Rule 2: if the headers are malformed or disagree, the client address is unknown, and an unknown
        address is in no list.
Rule 3: an IPv4-mapped IPv6 address (``::ffff:192.0.2.1``) is the IPv4 address.
Rule 4: a peer on a Unix socket has no address. It is a trusted proxy if ``unix`` is one of the
        trusted proxies, and the server reports that it listens on a Unix socket, or does not report
        where it listens, as older versions of uvicorn on a Unix socket. On TCP every server reports
        its address.

Values in, values out.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Sequence
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
from typing import Literal

from msgspec import Struct

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Headers = Sequence[tuple[bytes, bytes]]

UNIX: Literal["unix"] = "unix"
"""The peer on a Unix socket, as a trusted proxy."""

_HOST = re.compile(r"(?=.*[A-Za-z])(?!-)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")
_MAX_HOST = 253  # characters (RFC 1035, section 2.3.4)
_MAPPED = IPv6Network("::ffff:0:0/96")
_NAMES = (b"x-forwarded-for", b"forwarded")
_MAX_HEADER = 4096  # characters of all lines of a forwarding header: some 80 addresses
_MAX_ADDRESS = 64  # characters of one: IPv6 with a zone and a port
_HOP = re.compile(
    r"(?:\[(?P<six>[0-9A-Fa-f:.]++)\]|(?P<four>[0-9.]++)):[0-9]{1,5}|\[(?P<bare>[^]]++)\]"
)
# Every quantifier is possessive: a failed match does not backtrack.
_PAIR = re.compile(
    r"""[ \t]*+ (?: (?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]++)
        = (?: (?P<token>[!#$%&'*+.^_`|~0-9A-Za-z-]++)
            | "(?P<quoted>[^"\\]*+(?:\\.[^"\\]*+)*+)" ) )?+
        [ \t]*+ (?P<end>[;,]|\Z)""",
    re.VERBOSE,
)


class Source(Struct, frozen=True, gc=False):
    """The client address of a request.

    Attributes:
        address: None if unknown.
        proxy: the trusted proxy that forwarded the request; None for a direct connection.
        problem: why the address is unknown, without any text that the client sent.
    """

    address: Address | None = None
    proxy: Address | Literal["unix"] | None = None
    problem: str = ""

    @property
    def nearest(self) -> Address | None:
        """The address, or the proxy's address if it is unknown."""
        return self.address or (None if self.proxy == UNIX else self.proxy)

    def __str__(self) -> str:
        where = str(self.address or f"an unknown address ({self.problem})")
        proxy = "a Unix socket" if self.proxy == UNIX else self.proxy
        return f"{where} by way of {proxy}" if proxy else where


@dataclass(frozen=True, slots=True)
class HostName:
    """The name of a host among the allowed sources, in place of its addresses."""

    name: str


class Sources:
    """The allowed client addresses.

    Parameters:
        allowed: the networks of the PBX and of each IVR server; empty allows every address.
        proxies: the networks of the trusted proxies, and `UNIX`.
        hosts: the addresses of the host names among ``allowed``.
    """

    def __init__(
        self,
        allowed: Iterable[Network | HostName] = (),
        proxies: Iterable[Network | Literal["unix"]] = (),
        hosts: Container[Address] = (),
    ) -> None:
        self._everywhere = not (allowed := tuple(allowed))
        self._allowed = tuple(one for one in allowed if not isinstance(one, HostName))
        self._hosts = hosts
        self._unix = UNIX in (proxies := tuple(proxies))
        self._proxies = tuple(one for one in proxies if one != UNIX)
        # Whether the result depends on the peer's address alone.
        self.is_fixed = not (proxies or any(isinstance(one, HostName) for one in allowed))

    def find(
        self,
        client: tuple[str, int] | None,
        headers: Headers,
        server: tuple[str, int | None] | None = None,
    ) -> Source:
        """Return the client address of a request.

        Parameters:
            client: the peer's address and port, as the server reports them.
            headers: of the request.
            server: where the server listens; on a Unix socket its path and None.
        """
        peer, port = client or ("", 0)
        near = read_address(peer)
        if near is None:
            if peer or (server is not None and server[1] is not None):
                return Source(problem="the server does not report it")
            if not self._unix:
                cure = "if it is on a Unix socket, add unix to RECEIVER_TRUSTED_PROXIES"
                return Source(problem=f"the server does not report it; {cure}")
            nameless = Source(None, UNIX, "the proxy does not report it")
            return self._behind(UNIX, headers) or nameless
        if not port:  # no connection has port 0: uvicorn has replaced the peer by a proxy's header
            return Source(problem="the server itself trusts proxy headers")
        if not _in(near, self._proxies):
            return Source(near)
        return self._behind(near, headers) or Source(near)

    def allows(self, source: Source) -> bool:
        """Return whether ``source`` is an allowed source."""
        return self._everywhere or self.lists(source)

    def lists(self, source: Source) -> bool:
        """Return whether allowed sources are configured, and ``source`` is one of them."""
        address = source.address
        return address is not None and (_in(address, self._allowed) or address in self._hosts)

    def _behind(self, near: Address | Literal["unix"], headers: Headers) -> Source | None:
        """Return the source that a trusted proxy reports; None if it reports none."""
        forwarded = [self._follow(name, near, headers) for name in _NAMES]
        given = [one for one in forwarded if one is not None]
        if len(set(given)) > 1:
            return Source(None, near, "X-Forwarded-For and Forwarded disagree")
        return given[0] if given else None

    def _follow(
        self, name: bytes, near: Address | Literal["unix"], headers: Headers
    ) -> Source | None:
        """Return the source in the header ``name``; None without this header."""
        lines = [value.decode("latin-1") for key, value in headers if key == name]
        if not lines:
            return None
        if sum(map(len, lines)) > _MAX_HEADER:
            return Source(None, near, f"{name.decode()} is longer than {_MAX_HEADER} characters")
        hops = (_read_list if name == b"x-forwarded-for" else _read_forwarded)(lines)
        if hops is None:
            return Source(None, near, f"{name.decode()} cannot be read")
        far: Address | None = None
        for hop in reversed(hops):
            far = _read_hop(hop.strip(" \t"))
            if far is None:
                return Source(None, near, f"{name.decode()} cannot be read")
            if not _in(far, self._proxies):
                break
        return Source(far, near)


def read_networks(text: str) -> tuple[Network, ...]:
    """Parse addresses and networks, separated by commas or spaces.

    Parameters:
        text: as in ``203.0.113.7, 198.51.100.0/24, 2001:db8::/48``.

    Raises:
        ValueError: an entry is neither; the text names it, and what was probably meant.
    """
    return tuple(map(_read_network, _words(text)))


def read_allowed(text: str) -> tuple[Network | HostName, ...]:
    """Parse addresses, networks and host names, separated by commas or spaces.

    Raises:
        ValueError: an entry is none of these.
    """
    return tuple(HostName(w.lower()) if _is_host(w) else _read_network(w) for w in _words(text))


def read_proxies(text: str) -> tuple[Network | Literal["unix"], ...]:
    """Parse addresses and networks, and ``unix`` for the peer on a Unix socket.

    Raises:
        ValueError: an entry is none of these.
    """
    return tuple(UNIX if w.lower() == UNIX else _read_network(w) for w in _words(text))


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _is_host(text: str) -> bool:
    """Return whether ``text`` is a host name, and not a mistyped address."""
    last = text.rstrip(".").rpartition(".")[2]
    return len(text) <= _MAX_HOST and bool(_HOST.fullmatch(text)) and not last.isdecimal()


@lru_cache(1024)
def read_address(text: str) -> Address | None:
    """Parse an address, without its zone and with mapped IPv4 as IPv4; None if it is invalid."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def _read_network(text: str) -> Network:
    try:
        loose = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is neither an address nor a network") from None
    if loose.prefixlen == 0:
        raise ValueError(f"{text!r} contains every address: leave it out")
    if "/" in text and ip_network(text.partition("/")[0])[0] != loose[0]:
        raise ValueError(f"{text!r} is not the beginning of a network: did you mean {loose}?")
    if isinstance(loose, IPv6Network) and loose.subnet_of(_MAPPED):
        mapped = loose.network_address.ipv4_mapped
        return IPv4Network(f"{mapped}/{loose.prefixlen - 96}")
    return loose


def _read_list(lines: Iterable[str]) -> list[str]:
    return [hop for text in lines for hop in text.split(",")]


def _read_forwarded(lines: Iterable[str]) -> list[str] | None:
    """Return the ``for=`` of each element, RFC 7239 section 4; empty if an element has none.

    None if a line is malformed: an open quote would hide the entry that the proxy appended, and
    leave only the entries that the client wrote.
    """
    hops: list[str] = []
    for text in lines:
        position, hop = 0, ""
        while True:
            pair = _PAIR.match(text, position)
            if pair is None:
                return None
            if (pair["name"] or "").lower() == "for":
                if hop:
                    return None
                hop = pair["token"] or re.sub(r"\\(.)", r"\1", pair["quoted"] or "") or "none"
            position = pair.end()
            if pair["end"] != ";":
                hops.append(hop)
                hop = ""
            if not pair["end"]:
                break
    return hops


def _read_hop(text: str) -> Address | None:
    if len(text) > _MAX_ADDRESS:
        return None
    match = _HOP.fullmatch(text)
    if match is None:
        return read_address(text)
    return read_address(match["six"] or match["four"] or match["bare"])


def _in(address: Address, networks: tuple[Network, ...]) -> bool:
    return bool(networks) and any(
        address.version == one.version and address in one for one in networks
    )
