"""A PBX in memory: its IVRs, their action URLs, and which of them a key press or a caller fires.

Rule 1: pure. Ids come from a counter that is passed in; no clock, no network, no chance.
Rule 2: what is stored went through the vendor's limits (`receiver.simulator.schema`); but a mask
        may be any text, as at the PBX, and one that cannot be read never fires.
Rule 3: where the vendor says nothing the PBX here has a `Behaviour`, one switch for each guess.

Source: the PBX's REST API, and "Managing Virtual Receptionist" in the administration guide.
"""

from __future__ import annotations

import base64
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from receiver.actions import Kind
from receiver.errors import MaskError
from receiver.masks import All, Mask
from receiver.pbx import models
from receiver.simulator import schema
from receiver.simulator.schema import Blanks, Fault, Field, Json, Secrets, invalid

_FIRST_ID = 700551909773148160  # the vendor's example, NzAwNTUxOTA5NzczMTQ4MTYw
_TOP = 100
_EQUALS = re.compile(r"\s*(\w+)\s+eq\s+'((?:[^']|'')*)'\s*")


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What PBXs may do differently from each other.

    Attributes:
        blanks: how a field without a value is given.
        secrets: how passwords, tokens and PINs are given.
        ids: a decimal number, or the base64 of one.
        skip_origin: the number of the first item for ``skip``; the vendor says both 0 and 1.
        sign_in: False has ``/auth/sign_in`` answer 404, as before 22.2.11.
        token_life: seconds for which an access token is good.
    """

    blanks: Blanks = "null"
    secrets: Secrets = "clear"
    ids: Literal["base64", "decimal"] = "base64"
    skip_origin: Literal[0, 1] = 0
    sign_in: bool = True
    token_life: int = 1800


class Collection:
    """Objects of one kind, in the order of their creation.

    Parameters:
        what: what one object is called in messages.
        fields: the rows that describe it.
        behaviour: gives the behaviour that counts at this moment.
        new_id: gives an id that was never given before.
    """

    def __init__(
        self,
        what: str,
        fields: tuple[Field, ...],
        behaviour: Callable[[], Behaviour],
        new_id: Callable[[], str],
    ) -> None:
        self._what = what
        self._fields = fields
        self._behaviour = behaviour
        self._new_id = new_id
        self._items: dict[str, Json] = {}

    def __iter__(self) -> Iterator[Json]:
        """The objects as they are stored, for the PBX itself."""
        return iter(self._items.values())

    def create(self, data: object) -> str:
        """Store ``data`` (decoded JSON), give its id.

        Raises:
            Fault: 400, it breaks a limit.
        """
        taken = schema.accept(self._fields, data, "create")
        self._check_unique(taken)
        key = self._new_id()
        self._items[key] = {"id": key, **taken}
        return key

    def page(self, query: Mapping[str, str]) -> Json:
        """A page of summaries, ``{"count", "items"}``.

        Parameters:
            query: ``filter`` (``field eq 'text'``), ``search`` (in names and numbers), ``orderby``
                (``field desc, field``), ``skip`` and ``top`` (1 to 100).

        Raises:
            Fault: 400, a parameter cannot be read.
        """
        found = _search(list(self), query.get("search", ""))
        found = self._filter(found, query.get("filter", ""))
        found = self._order(found, query.get("orderby", ""))
        start = _whole(query, "skip", 0, 2**31 - 1, 0)
        start = max(0, start - self._behaviour().skip_origin)
        page = found[start : start + _whole(query, "top", 1, _TOP, _TOP)]
        return {"count": len(found), "items": [self._present(item, "list") for item in page]}

    def show_all(self) -> Json:
        """All objects in full, ``{"items"}``."""
        return {"items": [self._present(item, "show") for item in self]}

    def show(self, key: str) -> Json:
        """One object in full.

        Raises:
            Fault: 404, there is none of that id.
        """
        return self._present(self.stored(key), "show")

    def update(self, key: str, data: object) -> None:
        """Change what ``data`` gives and leave the rest.

        Raises:
            Fault: 404, there is none of that id; 400, the data breaks a limit.
        """
        item = self.stored(key)
        item.update(schema.accept(self._fields, data, "update"))

    def destroy(self, key: str) -> None:
        """Forget one object.

        Raises:
            Fault: 404, there is none of that id.
        """
        self.stored(key)
        del self._items[key]

    def stored(self, key: str) -> Json:
        """One object as it is stored; errors as for `show`."""
        if key not in self._items:
            raise Fault(404, "NOT_FOUND", f"there is no {self._what} of this id")
        return self._items[key]

    def _present(self, item: Json, purpose: Literal["show", "list"]) -> Json:
        now = self._behaviour()
        return schema.present(self._fields, item, purpose, now.blanks, now.secrets)

    def _check_unique(self, taken: Json) -> None:
        for field in self._fields:
            if field.unique and any(item[field.name] == taken[field.name] for item in self):
                raise invalid(field.name, "is taken already")

    def _filter(self, items: Iterable[Json], condition: str) -> list[Json]:
        if not condition:
            return list(items)
        match = _EQUALS.fullmatch(condition)
        if match is None:
            raise invalid("filter", "is not of the form field eq 'text'")
        name, text = self._field(match[1], "filter"), match[2].replace("''", "'")
        return [item for item in items if item.get(name) == text]

    def _order(self, items: list[Json], orderby: str) -> list[Json]:
        for part in reversed(orderby.split(",") if orderby else ()):
            name, _, direction = part.strip().partition(" ")
            if direction.strip().lower() not in ("", "asc", "desc"):
                raise invalid("orderby", "is not of the form field asc, field desc")
            key = self._field(name, "orderby")
            reverse = direction.strip().lower() == "desc"
            items = sorted(items, key=lambda item: str(item.get(key, "")), reverse=reverse)
        return items

    def _field(self, name: str, where: str) -> str:
        """``name``, if it is a field that lists show."""
        if any(field.name == name and "list" in field.on for field in self._fields):
            return name
        raise invalid(where, "names a field that is not listed")


class Pbx:
    """A PBX with its IVRs and their action URLs.

    Parameters:
        behaviour: may be replaced at any time; the ids already given stay.
        numbers: gives the numbers that ids are made of, each once.
    """

    def __init__(
        self, behaviour: Behaviour | None = None, *, numbers: Iterator[int] | None = None
    ) -> None:
        self.behaviour = behaviour or Behaviour()
        self.ivrs = self._collection("IVR", schema.IVR)
        self._numbers = numbers if numbers is not None else itertools.count(_FIRST_ID)
        self._action_urls: dict[str, Collection] = {}

    def action_urls(self, ivr_id: str) -> Collection:
        """The action URLs of one IVR.

        Raises:
            Fault: 404, there is no such IVR.
        """
        self.ivrs.stored(ivr_id)
        if ivr_id not in self._action_urls:
            self._action_urls[ivr_id] = self._collection("action URL", schema.ACTION_URL)
        return self._action_urls[ivr_id]

    def destroy_ivr(self, ivr_id: str) -> None:
        """Forget an IVR together with its action URLs; errors as for `Collection.destroy`."""
        self.ivrs.destroy(ivr_id)
        self._action_urls.pop(ivr_id, None)

    def ivr_at(self, extension: str) -> models.IvrSummary | None:
        """The IVR that answers at an extension number, None if there is none."""
        for item in self.ivrs:
            if item["extension_number"] == extension:
                return models.read(models.IvrSummary, item)
        return None

    def fires(self, extension: str, kind: Kind, number: str) -> models.ActionUrl | None:
        """The action URL that the PBX asks; None if it asks none.

        An exact number in a mask beats a range, a range beats ``*``, ``*`` beats ``ALL``, and of
        equals the one created first is asked. That order is a guess: the vendor names none.

        Parameters:
            extension: the extension number of the IVR.
            kind: ``"CALLER"`` when the call arrives, ``"DTMF"`` when digits were keyed in.
            number: the caller's number, or the digits.
        """
        ivr = self.ivr_at(extension)
        if ivr is None:
            return None
        ranked = []
        for item in self.action_urls(ivr.id):
            action = models.read(models.ActionUrl, item)
            if action.enabled and action.type == kind:
                rank = _rank(action, number)
                if rank is not None:
                    ranked.append((rank, action))
        return min(ranked, key=lambda pair: pair[0])[1] if ranked else None  # the first of equals

    def _collection(self, what: str, fields: tuple[Field, ...]) -> Collection:
        return Collection(what, fields, lambda: self.behaviour, self._new_id)

    def _new_id(self) -> str:
        text = str(next(self._numbers))
        if self.behaviour.ids == "decimal":
            return text
        return base64.b64encode(text.encode()).decode()


def _rank(action: models.ActionUrl, number: str) -> int | None:
    try:
        mask = Mask.parse(action.mask)
    except MaskError:
        return None
    if action.type == "CALLER" and All() in mask.entries:
        return None  # documented for what is keyed in only
    return mask.rank(number)


def _search(items: list[Json], text: str) -> list[Json]:
    def texts(item: Json) -> Iterator[str]:
        return (str(item[name]).lower() for name in ("name", "extension_number") if name in item)

    return [item for item in items if any(text.lower() in found for found in texts(item))]


def _whole(query: Mapping[str, str], name: str, low: int, high: int, default: int) -> int:
    text = query.get(name, str(default))
    if re.fullmatch("[0-9]{1,10}", text) and low <= int(text) <= high:
        return int(text)
    raise invalid(name, f"is not a whole number from {low} to {high}")
