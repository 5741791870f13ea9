"""Objects of one kind in the memory of the PBX: created, listed, shown, updated, destroyed.

Rule 1: what is stored went through the rows of its table, but for what the PBX itself puts in.
Rule 2: the behaviour that counts is that of the moment, not that of the creation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Literal

from receiver.simulator import conditions, schema
from receiver.simulator.behaviour import Behaviour
from receiver.simulator.schema import Context, Fault, Field, Json, invalid, missing

_TOP = 100


class Collection:
    """Objects of one kind, in the order of their creation.

    Parameters:
        what: what one object is called in messages.
        fields: the rows that describe it.
        context: gives what counts at this moment.
        new_id: gives an id that was never given before.
        rule: a check of a new object as a whole: the problem, or "".
    """

    def __init__(
        self,
        what: str,
        fields: tuple[Field, ...],
        context: Callable[[], Context],
        new_id: Callable[[], str],
        rule: Callable[[Json, Behaviour], str] | None = None,
    ) -> None:
        self._what = what
        self._fields = fields
        self._context = context
        self._new_id = new_id
        self._rule = rule
        self._items: dict[str, Json] = {}

    def __iter__(self) -> Iterator[Json]:
        """The objects as they are stored, for the PBX itself."""
        return iter(self._items.values())

    def __len__(self) -> int:
        return len(self._items)

    def create(self, data: object) -> str:
        """Store ``data`` (decoded JSON), give its id.

        Raises:
            Fault: 400, it breaks a limit.
        """
        context = self._context()
        taken = schema.accept(self._fields, data, context)
        if problem := self._rule(taken, context.behaviour) if self._rule else "":
            raise Fault(400, "VALIDATE_FAILED", problem)
        self._check_unique(taken)
        return self.put(taken)

    def put(self, values: Json, key: str = "") -> str:
        """Store what the PBX itself made, unchecked; give its id, which is ``key`` if given."""
        key = key or self._new_id()
        self._items[key] = {"id": key, **values}
        return key

    def page(self, query: Mapping[str, str]) -> Json:
        """A page of summaries, ``{"count", "items"}``.

        Parameters:
            query: ``filter`` (see `receiver.simulator.conditions`), ``search`` (in names and
                numbers), ``orderby`` (``field desc, field``), ``skip`` and ``top`` (1 to 100).

        Raises:
            Fault: 400, a parameter cannot be read.
        """
        found = _search(list(self), query.get("search", ""))
        if condition := query.get("filter", ""):
            found = list(filter(conditions.parse(condition, self._listed()), found))
        found = self._order(found, query.get("orderby", ""))
        start = _whole(query, "skip", 0, 2**31 - 1, 0)
        start = max(0, start - self._context().behaviour.skip_origin)
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
        """Change what ``data`` gives; what becomes of the rest is a matter of the behaviour.

        Raises:
            Fault: 404, there is none of that id; 400, the data breaks a limit.
        """
        item, context = self.stored(key), self._context()
        whole = context.behaviour.update == "replacing"
        taken = schema.accept(self._fields, data, context, "update", whole=whole)
        if whole:
            for name in [row.name for row in self._fields if "update" in row.on]:
                item.pop(name, None)
        item.update(taken)

    def destroy(self, key: str) -> None:
        """Forget one object.

        Raises:
            Fault: 404, there is none of that id.
        """
        self.stored(key)
        del self._items[key]

    def stored(self, key: str) -> Json:
        """One object as it is stored; errors as for `show`."""
        if (item := self.find(key)) is None:
            raise missing(self._what)
        return item

    def find(self, key: str) -> Json | None:
        """One object as it is stored, None if there is none of that id."""
        return self._items.get(key)

    def _present(self, item: Json, purpose: Literal["show", "list"]) -> Json:
        return schema.present(self._fields, item, self._context(), purpose)

    def _check_unique(self, taken: Json) -> None:
        for row in self._fields:
            if row.unique and any(item[row.name] == taken[row.name] for item in self):
                raise invalid(row.name, "is taken already")

    def _order(self, items: list[Json], orderby: str) -> list[Json]:
        for part in reversed(orderby.split(",") if orderby else ()):
            name, _, direction = part.strip().partition(" ")
            if direction.strip().lower() not in ("", "asc", "desc"):
                raise invalid("orderby", "is not of the form field asc, field desc")
            if name not in self._listed():
                raise invalid("orderby", "names a field that is not listed")
            reverse = direction.strip().lower() == "desc"
            items = sorted(items, key=lambda item: str(item.get(name, "")), reverse=reverse)
        return items

    def _listed(self) -> list[str]:
        has = self._context().behaviour.has
        return [row.name for row in self._fields if "list" in row.on and has(row.since)]


def _search(items: list[Json], text: str) -> list[Json]:
    def texts(item: Json) -> Iterator[str]:
        return (str(item[name]).lower() for name in ("name", "extension_number") if name in item)

    return [item for item in items if any(text.lower() in found for found in texts(item))]


def _whole(query: Mapping[str, str], name: str, low: int, high: int, default: int) -> int:
    text = query.get(name, str(default))
    if re.fullmatch("[0-9]{1,10}", text) and low <= int(text) <= high:
        return int(text)
    raise invalid(name, f"is not a whole number from {low} to {high}")
