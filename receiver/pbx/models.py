"""The PBX's JSON as typed models: reading, writing, and the models of action URLs.

Rule 1: reading is lenient: missing, null and ``""`` are equal, numbers may be text and text may be
        numbers, unknown keys are ignored. Ids are opaque text and never numbers.
Rule 2: values of an enumeration are read in any case and stored in the vendor's spelling.
Rule 3: writing is strict: blank fields are left out, never sent as null. An update names the fields
        to empty, and sends them as ``""``.
Rule 4: secrets are `Secret` values, so that no model prints them.

IVRs are in `receiver.pbx.models_ivr`, other resources in `receiver.pbx.models_shared`.

Source: the PBX's REST API, ``/ivrs``, ``/ivrs/{id}/action_urls``, ``/auth/sign_in``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import urlsplit

import msgspec

from receiver.credentials import Secret
from receiver.errors import MaskError, PbxInvalid
from receiver.masks import All, Mask
from receiver.pbx.fields import Model, Shape, Spec, Tenant, is_blank, shapes

M = TypeVar("M", bound=Model)

MASKED = frozenset("*•●xX#.")
"""Characters that a PBX may return instead of a secret."""

_FEW = 8
_WORD = "[a-z0-9]{6,64}"
_TIMEOUT = Spec(0, default=2)
_HEADER = re.compile(r"[!#$%'*+.^_`|~0-9A-Za-z-]+:([!-%'-~]([ -%'-~]*[!-%'-~])?)?")


def _problem_of_mask(text: str) -> str:
    try:
        Mask.parse(text)
    except MaskError as error:
        return f"cannot be read: {error}"
    return ""


def _problem_of_callers(text: str) -> str:
    if text.strip().upper() == str(All()):
        return "cannot be ALL, which is for DTMF only"
    return _problem_of_mask(text)


def _problem_of_headers(text: str) -> str:
    """Return the problem with headers, without the values, which may be secret."""
    if all(map(_HEADER.fullmatch, text.split("&"))):
        return ""
    return "must be key1:value1&key2:value2, in printable ASCII, and without & in a value"


def _problem_of_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if good and text.isascii() and text.isprintable() and " " not in text:
        return ""
    return "must be a URL such as https://ivr.example.com/action"


def _pattern_of_url(text: str, tenant: Tenant) -> str:
    return "" if re.search(_WORD, text) else f"does not match {_WORD}"


def _one_of(*choices: str) -> Spec:
    return Spec(choices=choices, required=True, optional_on_pbx=True)


class IvrSummary(Model, frozen=True, kw_only=True):
    """An IVR as ``GET /ivrs`` lists it."""

    id: str
    name: str = ""
    extension_number: str = ""
    enable_audio_recording: Annotated[bool | None, Spec(since="22.6")] = None


class ActionUrl(Model, frozen=True, kw_only=True):
    """An action URL of an IVR. Timeouts are in seconds.

    If the PBX does not return ``enabled``, a timeout or ``auth``, the field is blank, so that it is
    not sent back as a value; `with_defaults` fills in the PBX's defaults.

    The PBX needs none of the fields but the name. The vendor's pattern of ``url`` wants only six
    lower-case letters or digits in a row, so the client leaves it to the PBX.
    """

    id: Annotated[str, Spec(use="read")] = ""
    name: Annotated[str, Spec(1, 64, required=True)] = ""
    enabled: Annotated[bool | None, Spec(default=False)] = None
    type: Annotated[str, _one_of("DTMF", "CALLER")] = ""
    method: Annotated[str, _one_of("GET", "POST")] = ""
    headers: Annotated[str, Spec(client_rule=_problem_of_headers)] = ""
    caller_mask: Annotated[str, Spec(high=255, client_rule=_problem_of_callers)] = ""
    dtmf_mask: Annotated[str, Spec(high=255, client_rule=_problem_of_mask)] = ""
    connection_timeout: Annotated[int | None, _TIMEOUT] = None
    request_timeout: Annotated[int | None, _TIMEOUT] = None
    url: Annotated[
        str,
        Spec(
            1,
            128,
            required=True,
            optional_on_pbx=True,
            client_rule=_problem_of_url,
            pbx_rule=_pattern_of_url,
        ),
    ] = ""
    auth: Annotated[
        str, Spec(choices=("DISABLE", "BASIC", "DIGEST", "BEARER"), default="DISABLE")
    ] = ""
    username: Annotated[str, Spec(6, 64, pattern=_WORD)] = ""
    password: Annotated[Secret, Spec(6, 64, pattern=_WORD)] = Secret("")
    token: Secret = Secret("")

    def __repr__(self) -> str:  # headers and an unmanaged URL may contain secrets too
        return f"ActionUrl(id={self.id!r}, name={self.name!r}, type={self.type!r})"

    @property
    def mask(self) -> str:
        """The mask that applies to this type."""
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


def with_defaults(model: M) -> M:
    """Return ``model`` with the PBX's defaults for blank fields."""
    defaults = {shape.name: shape.spec.default for shape in shapes(type(model)).values()}
    blank = {
        name: default
        for name, default in defaults.items()
        if default is not None and is_blank(getattr(model, name))
    }
    return msgspec.structs.replace(model, **blank)


class Created(Model, frozen=True, kw_only=True):
    """The answer to a create."""

    id: str


class Page(msgspec.Struct, Generic[M], frozen=True):
    """One page of a list. ``count`` is None if the PBX does not return it."""

    items: tuple[M, ...]
    count: int | None = None


def read(model: type[M], data: object, what: str = "the answer") -> M:
    """Return ``data`` (decoded JSON) as a ``model``.

    Raises:
        PbxInvalid: it does not fit; the text names the field, without its value.
    """
    if not isinstance(data, Mapping):
        raise PbxInvalid(f"{what} of the PBX is not a JSON object")
    try:
        return msgspec.convert(_tidy(model, data), model, strict=False, dec_hook=_decode_secret)
    except msgspec.ValidationError as error:
        raise PbxInvalid(f"{what} of the PBX does not fit {model.__name__}: {error}") from None


def read_page(model: type[M], data: object, what: str = "the list") -> Page[M]:
    """Return ``data`` (decoded JSON) as a page of ``model``; errors as for `read`.

    An object without ``items`` is an empty list only if it has no other keys: an error with status
    200 must not be read as an empty list.
    """
    if not isinstance(data, Mapping) or not ("items" in data or data.keys() <= {"count"}):
        raise PbxInvalid(f"{what} of the PBX is not an object with items")
    items = data.get("items") or []
    if not isinstance(items, list):
        raise PbxInvalid(f"{what} of the PBX has items that are not a list")
    read_items = tuple(read(model, item, f"an item of {what}") for item in items)
    return Page(read_items, _count(data.get("count")))


def write(model: Model, clear: Iterable[str] = (), *, updating: bool = False) -> dict[str, Any]:
    """Return the JSON object to send for ``model``, without its id and blank fields.

    Parameters:
        clear: names of blank fields to empty on the PBX: a text is sent as ``""``, a list as
            ``[]``. Whether a PBX accepts null for that is not documented.
        updating: whether to leave out fields that only a create can set.
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
    """Return ``model`` without the secrets that the PBX masked."""
    masked = {
        shape.name: Secret("")
        for shape in shapes(type(model)).values()
        if shape.kind == "secret" and set(getattr(model, shape.name).reveal()) <= MASKED
    }
    return msgspec.structs.replace(model, **masked)


def known_ivrs(ivrs: Iterable[IvrSummary], sought: str = "") -> str:
    """Return a text that lists IVRs, those similar to ``sought`` (a number or name) first."""
    names = {f"{ivr.extension_number} {ivr.name!r}": ivr for ivr in ivrs}
    if not names:
        return "this account sees no IVR on the PBX"
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
    """Return ``data`` without blanks, with text and enumerations as the model has them."""
    known = shapes(model)
    return {
        key: _tidy_value(known[key], value)
        for key, value in data.items()
        if key in known and value is not None and value != ""
    }


def _tidy_value(shape: Shape, value: object) -> object:
    if shape.kind in ("text", "secret") and type(value) is int:
        return str(value)
    if shape.spec.choices and isinstance(value, str):
        return next((word for word in shape.spec.choices if word == value.strip().upper()), value)
    if shape.model is None:
        return value
    if shape.kind == "list" and isinstance(value, list):
        return [_tidy_item(shape, item) for item in value]
    return _tidy(shape.model, value) if isinstance(value, Mapping) else value


def _tidy_item(shape: Shape, item: object) -> object:
    if shape.spec.refers and isinstance(item, str | int):
        return {"id": str(item)}
    return _tidy(shape.model, item) if shape.model and isinstance(item, Mapping) else item


def _plain(shape: Shape, value: Any) -> Any:
    """Return a value that is not blank as JSON."""
    if shape.kind == "object":
        return write(value)
    if shape.kind == "list":
        return [item.id if shape.spec.refers else write(item) for item in value]
    return msgspec.to_builtins(value, enc_hook=_encode_secret)


def _decode_secret(kind: type, value: object) -> object:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise TypeError(f"expected text for a {kind.__name__}")


def _encode_secret(value: object) -> object:
    if isinstance(value, Secret):
        return value.reveal()
    raise NotImplementedError(type(value).__name__)
