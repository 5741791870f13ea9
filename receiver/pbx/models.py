"""The PBX's JSON, typed.

Rule 1: reading is lenient: missing, null and ``""`` are the same, numbers may come as text, what
        is unknown is passed over. Ids are opaque text and never numbers.
Rule 2: writing is strict: what is empty is left out, never sent as null.
Rule 3: secrets are `Secret` values, so that no model prints them.

Source: the PBX's REST API, ``/ivrs``, ``/ivrs/{id}/action_urls``, ``/auth/sign_in``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import msgspec

from receiver.errors import PbxNonsense
from receiver.secrets import Secret

M = TypeVar("M", bound="Model")


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

    @property
    def mask(self) -> str:
        """The mask that counts for this type."""
        return self.caller_mask if self.type == "CALLER" else self.dtmf_mask


class Tokens(Model, frozen=True, kw_only=True):
    """What a sign-in or a refresh gives. ``expires_in`` is in seconds, 0 if it was not said."""

    access_token: Secret = Secret("")
    refresh_token: Secret = Secret("")
    expires_in: int = 0


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
        return msgspec.convert(_tidy(data), model, strict=False, dec_hook=_decode_secret)
    except msgspec.ValidationError as error:
        raise PbxNonsense(f"{what} of the PBX does not fit {model.__name__}: {error}") from None


def read_page(model: type[M], data: object, what: str = "the list") -> Page[M]:
    """``data`` (decoded JSON) as a page of ``model``; errors as for `read`."""
    if not isinstance(data, Mapping) or not isinstance(data.get("items") or [], list):
        raise PbxNonsense(f"{what} of the PBX is not an object with items")
    items = tuple(read(model, item, f"an item of {what}") for item in data.get("items") or ())
    count = data.get("count")
    return Page(items, count if type(count) is int else None)


def write(model: Model) -> dict[str, Any]:
    """The JSON object to send for ``model``: without its id, and without what is empty."""
    data = msgspec.to_builtins(model, enc_hook=_encode_secret)
    return {key: value for key, value in data.items() if key != "id" and value not in ("", None)}


def _tidy(data: Mapping[str, object]) -> dict[str, object]:
    """Without blanks, and with ids as text."""
    found = {key: value for key, value in data.items() if value is not None and value != ""}
    if type(found.get("id")) is int:
        found["id"] = str(found["id"])
    return found


def _decode_secret(kind: type, value: object) -> object:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise TypeError(f"expected text for a {kind.__name__}")


def _encode_secret(value: object) -> object:
    if isinstance(value, Secret):
        return value.reveal()
    raise NotImplementedError(type(value).__name__)
