"""Two action URLs compared: whose is it, is it the same one, and in what does it differ.

Rule 1: ours is what points to ``base/action/<ivr number>/<name>``, or to a part of one
        (``…/2``), and nothing else. With a label it is ``base/action/<label>/<ivr number>/…``:
        no PBX of an app owns what belongs to another, wherever it stands.
Rule 2: only what can be known is compared: a secret that the PBX leaves out, masks or hashes, or
        the credentials of a mode that is not used, are no drift.
Rule 3: values are compared, not spellings: ``1;2`` is ``1; 2``, ``HTTPS://Host:443`` is
        ``https://host``.
Rule 4: nothing here prints a secret; header values and foreign URLs count as secrets too.

Whether a PBX gives passwords and tokens back, and in what form, is not documented.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from receiver.errors import MaskError
from receiver.masks import Mask
from receiver.pbx.models import ActionUrl
from receiver.printable import line
from receiver.secrets import Secret

UNREADABLE = "(hidden by the PBX)"
"""Stands for a credential that the PBX does not give back as it is."""

_HIDDEN = "***"
_OURS = re.compile(r"[0-9]{3,64}/([^/\\?#%]+)(?:/(?:[2-9]|[1-9][0-9]))?")  # in a name
_PORTS = {"http": 80, "https": 443}
_CLEAR = re.compile(r"[a-z0-9]+")
# A hash, or a mask such as "xxxxxx". Ours are of a-z2-7, so 0, 1, 8 and 9 give a short hash away.
_OBSCURED = re.compile(r"[0-9a-f]{40,}|(?=.*[0189])[0-9a-f]{32}|(.)\1+")
_CREDENTIALS = {
    "BASIC": ("username", "password"),
    "DIGEST": ("username", "password"),
    "BEARER": ("token",),
}
_PLAIN = ("name", "enabled", "connection_timeout", "request_timeout")
_WORDS = ("type", "method", "auth")
_DOTS = (".", "..")
_SLASH = re.compile("%2F", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Difference:
    """A field that is not as wanted; the values are text for people, secrets masked."""

    field: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.field}: {self.before or '(none)'} → {self.after or '(none)'}"


def is_ours(url: str, base: str, pbx: str = "") -> bool:
    """Whether ``url`` is one of an action for the PBX ``pbx`` of the service at ``base``.

    The whole shape ``base/action/<ivr number>/<name>`` is asked for, so that services at
    ``https://host``, ``https://host/app`` and ``https://host/application`` do not own each
    other's.
    """
    mine, theirs = _parts(base), _parts(url)
    if mine is None or theirs is None or mine[0] != theirs[0]:
        return False
    prefix = mine[1].rstrip("/") + (f"/action/{pbx}/" if pbx else "/action/")
    path = theirs[1]
    rest = _OURS.fullmatch(path.removeprefix(prefix))
    return path.startswith(prefix) and rest is not None and rest[1] not in _DOTS


def same_url(one: str, other: str) -> bool:
    """Whether two URLs lead to the same action: a query does not count, nor does spelling."""
    return key(one) == key(other)


def key(url: str) -> object:
    """What the URLs of one action have in common."""
    parts = _parts(url)
    return parts[:2] if parts else url


# one action URL ------------------------------------------------------------------------------


def differences(
    want: ActionUrl, found: ActionUrl, *, certain: bool = False, readable: bool = False
) -> Iterator[Difference]:
    """Every field in which ``found`` is not as ``want``, as far as that can be known.

    Parameters:
        want: what there shall be.
        found: what there is.
        certain: True counts a credential that cannot be read, or that the PBX lacks, as a
            difference too (its ``before`` is `UNREADABLE`).
        readable: this PBX was seen to give secrets back as they are (`shows_secrets`), so that
            any other value is a difference.
    """
    for field in _PLAIN:
        before, after = getattr(found, field), getattr(want, field)
        if before != after:
            yield Difference(field, _text(before), _text(after))
    for field in _WORDS:
        before, after = getattr(found, field).upper(), getattr(want, field)
        if before != after:
            yield Difference(field, _text(before), after)
    mask = "caller_mask" if want.type == "CALLER" else "dtmf_mask"
    before, after = getattr(found, mask), getattr(want, mask)
    if _mask(before) != _mask(after):
        yield Difference(mask, line(before), after)
    if _headers(found.headers) != _headers(want.headers):
        yield Difference("headers", _names(found.headers), _names(want.headers))
    if _exact(found.url) != _exact(want.url):
        yield Difference("url", without_query(found.url), want.url)
    for field in _CREDENTIALS.get(want.auth, ()):
        before, after = _reveal(getattr(found, field)), _reveal(getattr(want, field))
        if readable or _is_known(before):
            if before != after:
                yield Difference(field, _HIDDEN if before else "", _HIDDEN)
        elif certain:
            yield Difference(field, UNREADABLE, _HIDDEN)


def is_ahead(found: ActionUrl, now: ActionUrl, coming: ActionUrl, *, hidden: bool) -> bool:
    """Whether ``found`` is to be compared with what is wanted in the epoch after this one.

    Parameters:
        now, coming: what is wanted, with the credentials of this epoch and of the next.
        hidden: whether the credentials that it has cannot be read. A service before and one after
            a rotation takes those of the next epoch, so these count, unless a header with a secret
            tells better.
    """
    held, one, other = (_headers(item.headers) for item in (found, now, coming))
    for key, answer in ((other - one, True), (one - other, False)):
        if key and key <= held:
            return answer
    return hidden or carries(found, coming)


def carries(found: ActionUrl, want: ActionUrl) -> bool:
    """Whether ``found`` surely has the credentials of ``want``: what can be read of them is so."""
    fields = _CREDENTIALS.get(want.auth, ())
    pairs = [(_reveal(getattr(found, name)), _reveal(getattr(want, name))) for name in fields]
    known = [before == after for before, after in pairs if _is_known(before)]
    return found.auth.upper() == want.auth and bool(known) and all(known)


def hides_credentials(found: ActionUrl, want: ActionUrl) -> bool:
    """Whether ``found`` has credentials of the kind that ``want`` needs, and none can be read."""
    fields = _CREDENTIALS.get(want.auth, ()) if found.auth.upper() == want.auth else ()
    return bool(fields) and not any(_is_known(_reveal(getattr(found, name))) for name in fields)


def hidden_fields(found: ActionUrl) -> tuple[str, ...]:
    """The credentials of its mode that the PBX does not give back as they are."""
    fields = _CREDENTIALS.get(found.auth.upper(), ())
    return tuple(name for name in fields if not _is_known(_reveal(getattr(found, name))))


def shows_secrets(found: ActionUrl, want: ActionUrl) -> bool:
    """Whether ``found`` holds a secret of ``want`` just as we made it: its PBX hides none."""
    fields = [name for name in _CREDENTIALS.get(want.auth, ()) if name != "username"]
    return any(getattr(found, name) == getattr(want, name) for name in fields)


def _reveal(value: str | Secret) -> str:
    return value.reveal() if isinstance(value, Secret) else value


def _is_known(text: str) -> bool:
    """Whether the PBX gave a credential back as it is, neither left out nor masked nor hashed."""
    return _CLEAR.fullmatch(text) is not None and _OBSCURED.fullmatch(text) is None


def _mask(text: str) -> frozenset[str] | str:
    try:
        return frozenset(map(str, Mask.parse(text)))
    except MaskError:
        return text


def _headers(text: str) -> frozenset[tuple[str, str]]:
    pairs = (pair.partition(":") for pair in text.split("&") if pair.strip())
    return frozenset((name.strip().lower(), value.strip()) for name, _, value in pairs)


def _names(headers: str) -> str:
    """Headers without their values, which may be secret."""
    pairs = (pair.partition(":") for pair in headers.split("&") if pair.strip())
    return "&".join(f"{line(name)}:{_HIDDEN}" for name, _, _ in pairs)


# URLs ----------------------------------------------------------------------------------------


def _parts(url: str) -> tuple[tuple[str, str, int | None], str, str] | None:
    """What is reached, the path, and the rest of a URL in one spelling; None if it is none."""
    try:
        split = urlsplit(url.strip())
        port = split.port
    except ValueError:
        return None
    if not split.hostname or "@" in split.netloc:
        return None
    scheme = split.scheme.lower()
    where = (scheme, split.hostname, port or _PORTS.get(scheme))
    return where, unquote(_SLASH.sub("%252F", split.path)), f"{split.query}#{split.fragment}"


def _exact(url: str) -> object:
    return _parts(url) or url


def origin(url: str) -> str:
    """The host that a foreign URL leads to, and no more: its path may be a secret."""
    parts = _parts(url)
    return line(f"{parts[0][0]}://{parts[0][1]}/…") if parts else "not a URL"


def without_query(url: str) -> str:
    """One of our URLs as it may be shown: we make no queries, so what is there may be a secret."""
    bare, mark, _ = url.replace("#", "?").partition("?")
    return line(bare + mark + (_HIDDEN if mark else ""))


def _text(value: object) -> str:
    return ("no", "yes")[value] if isinstance(value, bool) else line(str(value))
