"""Whether a PBX can reach a public URL at all, judged by the two addresses alone.

Rule 1: a loopback address leads a PBX to itself, so beside a PBX on another machine it is wrong.
Rule 2: a private or link-local address may be right where the PBX has a public one, over a VPN for
        example, so it is a doubt and no fault.
Rule 3: names are not looked up; the caller may do so, and give the addresses.

Values in, values out.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal, NamedTuple

from receiver.registration.urls import parse

Address = IPv4Address | IPv6Address
Range = Literal["loopback", "private", "public", ""]


class ReachabilityFinding(NamedTuple):
    """A reason why the PBX may not reach the public URL.

    Attributes:
        certain: whether it surely does not.
        text: what was found.
        cure: what to do about it.
    """

    certain: bool
    text: str
    cure: str


def doubt(
    public_url: str,
    pbx_url: str,
    public: Iterable[Address] = (),
    pbx: Iterable[Address] = (),
) -> ReachabilityFinding | None:
    """Return why a PBX at ``pbx_url`` may not reach ``public_url``; None if nothing speaks for it.

    Parameters:
        public_url, pbx_url: the settings.
        public, pbx: the addresses of their hosts, where they are names and were looked up.
    """
    mine, theirs = parse(public_url), parse(pbx_url)
    if mine is None or theirs is None:
        return None
    ours, other = range_of(mine.host, public), range_of(theirs.host, pbx)
    if ours == "loopback" and other != "loopback":
        return ReachabilityFinding(
            True,
            f"{mine.host} is a loopback address: to the PBX at {theirs.host} it is the PBX itself",
            "set RECEIVER_PUBLIC_URL to an address of this service that the PBX reaches",
        )
    if ours == "private" and other == "public":
        return ReachabilityFinding(
            False,
            f"{mine.host} is a private address, and the PBX at {theirs.host} has a public one",
            "set RECEIVER_PUBLIC_URL to an address that the PBX reaches, unless both share a "
            "private network",
        )
    return None


def range_of(host: str, addresses: Iterable[Address] = ()) -> Range:
    """Return which kind of address a host has; empty if that is not known.

    Of several the farthest counts: a host with a public address is a public one.
    """
    try:
        known = [ip_address(host)]
    except ValueError:
        local = host == "localhost" or host.endswith(".localhost")
        known = [ip_address("127.0.0.1")] if local else list(addresses)
    kinds = {_kind(address) for address in known}
    ranges: tuple[Range, ...] = ("public", "private", "loopback")
    return next((kind for kind in ranges if kind in kinds), "")


def _kind(address: Address) -> Range:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    one = mapped or address
    if one.is_loopback or one.is_unspecified:
        return "loopback"
    return "public" if one.is_global else "private"
