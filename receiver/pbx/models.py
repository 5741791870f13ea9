"""The PBX's JSON, typed.

Rule 1: reading is lenient: missing, null and ``""`` are the same, numbers may come as text and
        text as numbers, what is unknown is passed over. Ids are opaque text and never numbers.
Rule 2: writing is strict: what is empty is left out, never sent as null. What an update shall
        empty is named, and sent as ``""``.
Rule 3: secrets are `Secret` values, so that no model prints them.

IVRs in full are in `receiver.pbx.models_ivr`, what they share in `receiver.pbx.models_shared`.

Source: the PBX's REST API, ``/ivrs``, ``/ivrs/{id}/action_urls``, ``/auth/sign_in``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Generic, TypeVar

import msgspec

from receiver.errors import PbxNonsense
from receiver.pbx.fields import Model, Shape, Spec, is_blank, shapes
from receiver.secrets import Secret

M = TypeVar("M", bound=Model)

MASKED = frozenset("*•●xX#.")
"""What a PBX may print instead of the characters of a secret."""

_FEW = 8
_WORD = "[a-z0-9]{6,64}"


class IvrSummary(Model, frozen=True, kw_only=True):
    """An IVR as ``GET /ivrs`` lists it."""

    id: str
    name: str = ""
    extension_number: str = ""
    enable_audio_recording: Annotated[bool | None, Spec(since="22.6")] = None


class ActionUrl(Model, frozen=True, kw_only=True):
    """An action URL of an IVR. Timeouts are in seconds; the defaults are the PBX's own.

    The vendor's own pattern of ``url`` fits no URL, and is left out.
    """

    id: Annotated[str, Spec(use="read")] = ""
    name: Annotated[str, Spec(1, 64, required=True)] = ""
    enabled: bool = False
    type: Annotated[str, Spec(choices=("DTMF", "CALLER"), required=True)] = ""
    method: Annotated[str, Spec(choices=("GET", "POST"), required=True)] = ""
    headers: str = ""
    caller_mask: Annotated[str, Spec(high=255)] = ""
    dtmf_mask: Annotated[str, Spec(high=255)] = ""
    connection_timeout: Annotated[int, Spec(0)] = 2
    request_timeout: Annotated[int, Spec(0)] = 2
    url: Annotated[str, Spec(1, 128, required=True)] = ""
    auth: Annotated[str, Spec(choices=("DISABLE", "BASIC", "DIGEST", "BEARER"))] = "DISABLE"
    username: Annotated[str, Spec(6, 64, pattern=_WORD)] = ""
    password: Annotated[Secret, Spec(6, 64, pattern=_WORD)] = Secret("")
    token: Secret = Secret("")

    def __repr__(self) -> str:  # headers and a foreign URL may hold secrets too
        return f"ActionUrl(id={self.id!r}, name={self.name!r}, type={self.type!r})"

    @property
    def mask(self) -> str:
        """The mask that counts for this type."""
        return self.caller_mask if self.type == "CALLER" else self.dtmf_mask

    def conflicts(self, creating: bool) -> tuple[str, ...]:
        found = []
        if self.type and not self.mask:
            found.append(f"{self.type.lower()}_mask is missing, which the type {self.type} needs")
        if self.auth in ("BASIC", "DIGEST"):
            lacking = [name for name in ("username", "password") if not getattr(self, name)]
            found += [f"{name} is missing, which auth {self.auth} needs" for name in lacking]
        if self.auth == "BEARER" and not self.token:
            found.append("token is missing, which auth BEARER needs")
        return tuple(found)


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


def write(model: Model, clear: Iterable[str] = (), *, updating: bool = False) -> dict[str, Any]:
    """The JSON object to send for ``model``: without its id, and without what is empty.

    Parameters:
        clear: names of fields that are empty and shall be emptied on the PBX: a text is sent as
            ``""``, a list as ``[]``. Whether a PBX takes null for that is not documented.
        updating: True leaves out what can only be set by a create.
    """
    emptied, data = frozenset(clear), {}
    for key, shape in shapes(type(model)).items():
        value = getattr(model, shape.name)
        if key == "id" or shape.spec.use == "read" or (updating and shape.spec.use == "create"):
            continue
        if not is_blank(value):
            data[key] = _plain(shape, value)
        elif key in emptied:
            data[key] = [] if shape.kind == "list" else ""
    return data


def without_masked(model: M) -> M:
    """``model`` without the secrets that the PBX did not give in clear."""
    masked = {
        shape.name: Secret("")
        for shape in shapes(type(model)).values()
        if shape.kind == "secret" and set(getattr(model, shape.name).reveal()) <= MASKED
    }
    return msgspec.structs.replace(model, **masked)


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
    known = shapes(model)
    return {
        key: _tidy_value(known[key], value)
        for key, value in data.items()
        if key in known and value is not None and value != ""
    }


def _tidy_value(shape: Shape, value: object) -> object:
    if shape.kind in ("text", "secret") and type(value) is int:
        return str(value)
    if shape.model is None:
        return value
    if shape.kind == "list" and isinstance(value, list):
        return [_tidy_item(shape, item) for item in value]
    return _tidy(shape.model, value) if isinstance(value, Mapping) else value


def _tidy_item(shape: Shape, item: object) -> object:
    if shape.spec.as_ids and isinstance(item, str | int):
        return {"id": str(item)}
    return _tidy(shape.model, item) if shape.model and isinstance(item, Mapping) else item


def _plain(shape: Shape, value: Any) -> Any:
    """A value that is not blank as JSON."""
    if shape.kind == "object":
        return write(value)
    if shape.kind == "list":
        return [item.id if shape.spec.as_ids else write(item) for item in value]
    return msgspec.to_builtins(value, enc_hook=_encode_secret)


def _decode_secret(kind: type, value: object) -> object:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise TypeError(f"expected text for a {kind.__name__}")


def _encode_secret(value: object) -> object:
    if isinstance(value, Secret):
        return value.reveal()
    raise NotImplementedError(type(value).__name__)
