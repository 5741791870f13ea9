"""The PBX's JSON, typed.

Rule 1: reading is lenient: missing, null and ``""`` are the same, numbers may come as text and
        text as numbers, what is unknown is passed over. Ids are opaque text and never numbers.
Rule 2: writing is strict: what is empty is left out, never sent as null. What an update shall
        empty is named, and sent as ``""``.
Rule 3: secrets are `Secret` values, so that no model prints them.

Source: the PBX's REST API, ``/ivrs``, ``/ivrs/{id}/action_urls``, ``/auth/sign_in``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Generic, TypeVar

import msgspec

from receiver.errors import PbxNonsense
from receiver.secrets import Secret

M = TypeVar("M", bound="Model")

_TEXTS = (str, Secret)
_FEW = 8


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A JSON object of the PBX's API."""


class IvrSummary(Model, frozen=True, kw_only=True):
    """An IVR as ``GET /ivrs`` lists it."""

    id: str
    name: str = ""
    extension_number: str = ""


class ActionUrl(Model, frozen=True, kw_only=True):
    """An action URL of an IVR. Timeouts are in seconds; the defaults are the PBX's own."""

    id: str = ""
    name: str = ""
    enabled: bool = False
    type: str = ""
    method: str = ""
    headers: str = ""
    caller_mask: str = ""
    dtmf_mask: str = ""
    connection_timeout: int = 2
    request_timeout: int = 2
    url: str = ""
    auth: str = "DISABLE"
    username: str = ""
    password: Secret = Secret("")
    token: Secret = Secret("")

    def __repr__(self) -> str:  # headers and a foreign URL may hold secrets too
        return f"ActionUrl(id={self.id!r}, name={self.name!r}, type={self.type!r})"

    @property
    def mask(self) -> str:
        """The mask that counts for this type."""
        return self.caller_mask if self.type == "CALLER" else self.dtmf_mask


class Tokens(Model, frozen=True, kw_only=True):
    """What a sign-in or a refresh gives. ``expires_in`` is in seconds, 0 if it was not said.

    ``two_factor_enabled`` stands alone: the account wants a code first, and there are no tokens.
    """

    access_token: Secret = Secret("")
    refresh_token: Secret = Secret("")
    expires_in: int = 0
    two_factor_enabled: bool = False


class Created(Model, frozen=True, kw_only=True):
    """The answer to a create."""

    id: str


class Page(msgspec.Struct, Generic[M], frozen=True):
    """One page of a list. ``count`` is None where the PBX gives none."""

    items: tuple[M, ...]
    count: int | None = None


def read(model: type[M], data: object, what: str = "the answer") -> M:
    """``data`` (decoded JSON) as a ``model``.

    Raises:
        PbxNonsense: it does not fit; the text says where, and holds no values.
    """
    if not isinstance(data, Mapping):
        raise PbxNonsense(f"{what} of the PBX is not a JSON object")
    try:
        return msgspec.convert(_tidy(model, data), model, strict=False, dec_hook=_decode_secret)
    except msgspec.ValidationError as error:
        raise PbxNonsense(f"{what} of the PBX does not fit {model.__name__}: {error}") from None


def read_page(model: type[M], data: object, what: str = "the list") -> Page[M]:
    """``data`` (decoded JSON) as a page of ``model``; errors as for `read`.

    An object without ``items`` is an empty list only if it holds nothing else: an error that came
    with status 200 must not read as "there is nothing".
    """
    if not isinstance(data, Mapping) or not ("items" in data or data.keys() <= {"count"}):
        raise PbxNonsense(f"{what} of the PBX is not an object with items")
    items = data.get("items") or []
    if not isinstance(items, list):
        raise PbxNonsense(f"{what} of the PBX holds items that are no list")
    read_items = tuple(read(model, item, f"an item of {what}") for item in items)
    return Page(read_items, _count(data.get("count")))


def write(model: Model, clear: Iterable[str] = ()) -> dict[str, Any]:
    """The JSON object to send for ``model``: without its id, and without what is empty.

    Parameters:
        clear: names of fields that are empty and shall be emptied on the PBX: they are sent as
            ``""``. Whether a PBX takes null for that is not documented.
    """
    data = msgspec.to_builtins(model, enc_hook=_encode_secret)
    emptied = frozenset(clear)
    return {
        key: value
        for key, value in data.items()
        if key != "id" and (value not in ("", None) or key in emptied)
    }


def known_ivrs(ivrs: Iterable[IvrSummary], sought: str = "") -> str:
    """What IVRs there are, in words: those nearest to ``sought`` (a number or name) first."""
    names = {f"{ivr.extension_number} {ivr.name!r}": ivr for ivr in ivrs}
    if not names:
        return "the PBX shows this account no IVR at all"
    keys = {key: text for text, ivr in names.items() for key in (ivr.extension_number, ivr.name)}
    near = [keys[key] for key in get_close_matches(sought, keys, n=_FEW, cutoff=0.6)]
    shown = list(dict.fromkeys([*near, *sorted(names)]))
    more = f" and {len(shown) - _FEW} more" if len(shown) > _FEW else ""
    return f"the PBX has {', '.join(shown[:_FEW])}{more}"


def _count(value: object) -> int | None:
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    return value if type(value) is int else None


def _tidy(model: type[Model], data: Mapping[str, object]) -> dict[str, object]:
    """Without blanks, and with numbers as text where the model has text."""
    texts = {field.name for field in msgspec.structs.fields(model) if field.type in _TEXTS}
    return {
        key: str(value) if key in texts and type(value) is int else value
        for key, value in data.items()
        if value is not None and value != ""
    }


def _decode_secret(kind: type, value: object) -> object:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise TypeError(f"expected text for a {kind.__name__}")


def _encode_secret(value: object) -> object:
    if isinstance(value, Secret):
        return value.reveal()
    raise NotImplementedError(type(value).__name__)
