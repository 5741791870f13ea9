"""Compare the desired state of a resource with its actual state.

Rule 1: a value that cannot be known is no drift: a secret that the PBX leaves out, masks or hashes,
        or the credentials of an authentication mode that is not used.
Rule 2: values are compared, not spellings: ``1;2`` is ``1; 2``, ``HTTPS://Host:443`` is
        ``https://host``. A spelling that the service does not answer, such as a trailing slash, is
        a difference.
Rule 3: an owner mark that is missing or cannot be read is no difference, that of another
        ``RECEIVER_SECRET`` is: it shows a changed secret where the PBX hides the credentials.
Rule 4: no text contains a secret; header values and URLs of other services count as secrets too.

Whether a PBX gives passwords and tokens back, and in what form, is not documented.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from receiver.credentials import Secret
from receiver.errors import MaskError
from receiver.masks import Mask, short_mask
from receiver.pbx.models import ActionUrl, with_defaults
from receiver.pbx.models_events import EventUrl
from receiver.registration.changes import UNREADABLE, Difference, Value
from receiver.registration.ownership import mark_of, pairs, without_mark
from receiver.registration.urls import HIDDEN, shown, spelling
from receiver.text import line

_CLEAR = re.compile(r"[a-z0-9]+")
# A hash, or a mask such as "xxxxxx". Derived secrets are of a-z2-7: 0, 1, 8 and 9 mark a hash.
_OBSCURED = re.compile(r"[0-9a-f]{40,}|(?=.*[0189])[0-9a-f]{32}|(.)\1+")
_CREDENTIALS = {
    "BASIC": ("username", "password"),
    "DIGEST": ("username", "password"),
    "BEARER": ("token",),
}
_PLAIN = ("name", "enabled", "connection_timeout", "request_timeout")
_WORDS = ("type", "method", "auth")


# resources -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a resource to compare.

    Attributes:
        name: as the plan prints it.
        actual, desired: the values, in a form in which equal ones are equal.
        before, after: the values as the plan prints them, secrets masked.
        known: whether the PBX returns the actual value.
    """

    name: str
    actual: object
    desired: object
    before: Value
    after: Value
    known: bool = True


def compare(fields: Iterable[Field], *, certain: bool = False) -> Iterator[Difference]:
    """Yield the differences among ``fields``.

    Parameters:
        fields: of a resource of any kind.
        certain: True counts a field that the PBX does not return as a difference too (its
            ``before`` is `UNREADABLE`).
    """
    for field in fields:
        if field.known and field.actual != field.desired:
            yield Difference(field.name, field.before, field.after)
        elif certain and not field.known:
            yield Difference(field.name, UNREADABLE, field.after)


def differences(
    want: ActionUrl, actual: ActionUrl, *, certain: bool = False, readable: bool = False
) -> Iterator[Difference]:
    """Yield the differences of an action URL from the desired one.

    Parameters:
        want: the desired state.
        actual: the actual state.
        certain: as for `compare`.
        readable: this PBX was seen to return secrets in clear text (`shows_secrets`), so that any
            other value is a difference.
    """
    return compare(_action_url_fields(want, with_defaults(actual), readable), certain=certain)


def _action_url_fields(want: ActionUrl, actual: ActionUrl, readable: bool) -> Iterator[Field]:
    for name in _PLAIN:
        before, after = getattr(actual, name), getattr(want, name)
        yield Field(name, before, after, shown_value(before), shown_value(after))
    for name in _WORDS:
        before, after = getattr(actual, name).upper(), getattr(want, name)
        yield Field(name, before, after, line(before), after)
    mask = "caller_mask" if want.type == "CALLER" else "dtmf_mask"
    before, after = getattr(actual, mask), getattr(want, mask)
    yield Field(mask, _mask(before), _mask(after), short_mask(line(before)), short_mask(after))
    before, after = without_mark(actual.headers), without_mark(want.headers)
    yield Field("headers", _headers(before), _headers(after), _names(before), _names(after))
    before, after = mark_of(actual.headers), mark_of(want.headers)
    yield Field("owner", before or after, after, "another RECEIVER_SECRET", "this one")
    before, after = spelling(actual.url), spelling(want.url)
    yield Field("url", before, after, shown(actual.url), want.url)
    yield from _credential_fields(want, actual, readable)


def _credential_fields(
    want: ActionUrl | EventUrl, actual: ActionUrl | EventUrl, readable: bool
) -> Iterator[Field]:
    for name in _CREDENTIALS.get(want.auth, ()):
        before, after = _reveal(getattr(actual, name)), _reveal(getattr(want, name))
        known = readable or _is_known(before)
        yield Field(name, before, after, HIDDEN if before else "", HIDDEN, known)


def event_url_differences(
    want: EventUrl, actual: EventUrl, *, certain: bool = False
) -> Iterator[Difference]:
    """Yield the differences of an event URL from the desired one; parameters as for `compare`."""
    return compare(_event_url_fields(want, actual), certain=certain)


def _event_url_fields(want: EventUrl, actual: EventUrl) -> Iterator[Field]:
    yield Field("enabled", bool(actual.enabled), want.enabled, bool(actual.enabled), True)
    auth = actual.auth.upper()
    yield Field("auth", auth, want.auth, line(auth), want.auth)
    yield Field("url", spelling(actual.url), spelling(want.url), shown(actual.url), want.url)
    yield from _credential_fields(want, actual, readable=False)


# credentials ---------------------------------------------------------------------------------


def is_ahead(actual: ActionUrl, now: ActionUrl, coming: ActionUrl, *, hidden: bool) -> bool:
    """Return whether ``actual`` is to be compared with the desired state of the next epoch.

    Parameters:
        now, coming: the desired state with the credentials of this epoch and of the next.
        hidden: whether the actual credentials cannot be read. A service accepts those of the next
            epoch before and after a rotation, so these count, unless a header with a secret
            decides it.
    """
    held, one, other = (_headers(item.headers) for item in (actual, now, coming))
    for key, answer in ((other - one, True), (one - other, False)):
        if key and key <= held:
            return answer
    return hidden or carries(actual, coming)


def carries(actual: ActionUrl | EventUrl, want: ActionUrl | EventUrl) -> bool:
    """Return whether ``actual`` has the credentials of ``want``, as far as they can be read."""
    fields = _CREDENTIALS.get(want.auth, ())
    pairs = [(_reveal(getattr(actual, name)), _reveal(getattr(want, name))) for name in fields]
    known = [before == after for before, after in pairs if _is_known(before)]
    return actual.auth.upper() == want.auth and bool(known) and all(known)


def hides_credentials(actual: ActionUrl | EventUrl, want: ActionUrl | EventUrl) -> bool:
    """Return whether the credentials of ``actual`` are of the kind of ``want`` and hidden."""
    fields = _CREDENTIALS.get(want.auth, ()) if actual.auth.upper() == want.auth else ()
    return bool(fields) and not any(_is_known(_reveal(getattr(actual, name))) for name in fields)


def hidden_fields(actual: ActionUrl) -> tuple[str, ...]:
    """Return the credentials of its mode that the PBX does not return in clear text."""
    fields = _CREDENTIALS.get(actual.auth.upper(), ())
    return tuple(name for name in fields if not _is_known(_reveal(getattr(actual, name))))


def shows_secrets(actual: ActionUrl, want: ActionUrl) -> bool:
    """Return whether ``actual`` has a secret of ``want`` in clear text: the PBX hides none."""
    fields = [name for name in _CREDENTIALS.get(want.auth, ()) if name != "username"]
    return any(getattr(actual, name) == getattr(want, name) for name in fields)


def _reveal(value: str | Secret) -> str:
    return value.reveal() if isinstance(value, Secret) else value


def _is_known(text: str) -> bool:
    """Return whether the PBX returned a credential in clear text, not masked or hashed."""
    return _CLEAR.fullmatch(text) is not None and _OBSCURED.fullmatch(text) is None


def _mask(text: str) -> frozenset[str] | str:
    try:
        return frozenset(map(str, Mask.parse(text)))
    except MaskError:
        return text


def _headers(text: str) -> frozenset[tuple[str, str]]:
    return frozenset((name.lower(), value) for name, value in pairs(text))


def _names(headers: str) -> str:
    """Return headers without their values, which may be secret."""
    return "&".join(f"{line(name)}:{HIDDEN}" for name, _ in pairs(headers))


def shown_value(value: object) -> Value:
    """Return a value as the plan prints it."""
    if isinstance(value, int):
        return value
    return "" if value is None else line(str(value))
