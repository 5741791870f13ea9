"""Action URLs compared by what they lead to, not by how they are spelled.

Rule 1: scheme and host have no case, a default port may be left out, unreserved characters may be
        percent-encoded, an IPv6 address or an international host name has one canonical form, and
        dot segments are resolved (RFC 3986, section 6.2.2 and 6.2.3).
Rule 2: repeated slashes, a slash at the end, a dot at the end of the host, user information, the
        query and the fragment do not change what a URL leads to. The service need not answer
        there: `spelling` tells such URLs apart, so that they can be repaired.
Rule 3: ``%2F`` is not a slash: it does not divide two segments.
Rule 4: the URL of an action is ``base/action/[<label>/]<ivr number>/<name>[/<part>]``. Any text may
        be given; what is no such URL is None.

Values in, values out.
"""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple
from urllib.parse import SplitResult, quote, unquote, urlsplit

from receiver.text import line

HIDDEN = "***"
"""Printed in place of what may be a secret."""

_PORTS = {"http": 80, "https": 443}
_HOST = 253  # characters of a host name, RFC 1035
_NUMBER = re.compile("[0-9]{3,64}")
_NAME = re.compile(r"[^/\\?#%]+")
_PART = re.compile("[2-9]|[1-9][0-9]")


class Location(NamedTuple):
    """The resource that a URL leads to; two are equal if a request reaches the same one.

    Attributes:
        scheme: in lower case.
        host: in lower case, an international name in its ASCII form.
        port: the default of the scheme if the URL has none; None if there is no default.
        path: its segments, decoded; without empty ones and dots.
    """

    scheme: str
    host: str
    port: int | None
    path: tuple[str, ...]

    def __str__(self) -> str:
        """Return the URL for display, without the default port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port in (None, _PORTS.get(self.scheme)) else f":{self.port}"
        path = (quote(segment, errors="surrogateescape") for segment in self.path)
        return line("/".join([f"{self.scheme}://{host}{port}", *path]))


class Target(NamedTuple):
    """The action that a URL leads to.

    Attributes:
        base: the public URL of the service.
        number: of the IVR.
        name: of the action.
        part: which part of the action's mask, as text; empty for the first.
    """

    base: Location
    number: str
    name: str
    part: str


def parse(url: str) -> Location | None:
    """Return what ``url`` leads to; None if it is no absolute URL."""
    split = _split(url)
    if split is None or not (host := _host(split)):
        return None
    scheme = split.scheme.lower()
    port = _PORTS.get(scheme) if split.port is None else split.port
    return Location(scheme, host, port, _resolve(_segments(split)))


def same(one: str, other: str) -> bool:
    """Return whether two URLs lead to the same thing."""
    return key(one) == key(other)


def key(url: str) -> object:
    """Return a value that the URLs of one action have in common."""
    return parse(url) or url


def spelling(url: str) -> object:
    """Return a value that two URLs have in common if every server treats them alike.

    They may differ in what rule 1 names, but not in what rule 2 names.
    """
    split, location = _split(url), parse(url)
    if split is None or location is None:
        return url
    user, at, host = split.netloc.rpartition("@")
    dot = host.partition(":")[0].endswith(".")
    padded = url != url.strip()
    rest = (user + at, dot, padded, _segments(split), split.query, split.fragment)
    return location[:3], rest


def target(url: str, pbx: str = "") -> Target | None:
    """Return the action that ``url`` leads to, at any service.

    Parameters:
        url: any text.
        pbx: the label of the PBX, which then is a segment of the path.
    """
    location = parse(url)
    if location is None:
        return None
    label = (pbx,) if pbx else ()
    path, part = location.path, ""
    if len(path) > 3 + len(label) and _PART.fullmatch(path[-1]) and not _shape(path, label):
        path, part = path[:-1], path[-1]
    if not _shape(path, label):
        return None
    base = location._replace(path=path[: -3 - len(label)])
    return Target(base, path[-2], path[-1], part)


def is_below(url: str, base: str, pbx: str = "") -> bool:
    """Return whether ``url`` is that of an action of the service at ``base``.

    The whole path is compared, so that services at ``https://host``, ``https://host/app`` and
    ``https://host/application`` do not own each other's.
    """
    found = target(url, pbx)
    return found is not None and found.base == parse(base)


def base_of(url: str, path: str) -> Location | None:
    """Return the public URL of the service at which ``url`` leads to ``path``; None if to another.

    Parameters:
        url: any text.
        path: such as ``"/events"``.
    """
    location, end = parse(url), tuple(path.split("/")[1:])
    if location is None or location.path[-len(end) :] != end:
        return None
    return location._replace(path=location.path[: -len(end)])


def rebased(url: str, base: str, new: str) -> str:
    """Return ``url``, which lies below ``base``, with the public URL ``new`` in place of that."""
    location, prefix = parse(url), parse(base)
    if location is None or prefix is None:
        return url
    rest = location.path[len(prefix.path) :]
    return "/".join([new.rstrip("/"), *(quote(segment, safe="") for segment in rest)])


def origin(url: str) -> str:
    """Return scheme, host and port of the URL of another service; its path may be a secret."""
    location = parse(url)
    return f"{location._replace(path=())}/…" if location else "not a URL"


def shown(url: str) -> str:
    """Return one of our URLs for people; a user name, a query or a fragment may be a secret."""
    bare, *rest_of = re.split("(?=[?#])", url, maxsplit=1)
    mark = rest_of[0][0] if rest_of else ""
    scheme, slashes, rest = bare.partition("://")
    authority, slash, path = rest.partition("/")
    user, at, host = authority.rpartition("@")
    authority = (HIDDEN if user else "") + at + host
    return line(scheme + slashes + authority + slash + path + (mark + HIDDEN if mark else ""))


def _split(url: str) -> SplitResult | None:
    text = url.strip()
    # Programs disagree on where the host of such a URL ends.
    if "\\" in text or " " in text or not text.isprintable():
        return None
    try:
        split = urlsplit(text)
        _ = split.port
    except ValueError:
        return None
    return split


def _host(split: SplitResult) -> str:
    host = (split.hostname or "").removesuffix(".")
    if len(host) > _HOST:
        return ""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        return host


def _segments(split: SplitResult) -> tuple[str, ...]:
    return tuple(unquote(text, errors="surrogateescape") for text in split.path.split("/")[1:])


def _resolve(segments: tuple[str, ...]) -> tuple[str, ...]:
    path: list[str] = []
    for segment in segments:
        if segment == "..":
            del path[-1:]
        elif segment not in ("", "."):
            path.append(segment)
    return tuple(path)


def _shape(path: tuple[str, ...], label: tuple[str, ...]) -> bool:
    """Return whether ``path`` ends like that of an action, without a part."""
    head = ("action", *label)
    if len(path) < len(head) + 2 or path[-2 - len(head) : -2] != head:
        return False
    return bool(_NUMBER.fullmatch(path[-2]) and _NAME.fullmatch(path[-1]))
