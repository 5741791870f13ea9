"""A collection in the memory of the simulated PBX: create, list, show, update, destroy.

Rule 1: stored resources are validated by their model, except those that the PBX itself adds.
Rule 2: the current behaviour applies, not that of the creation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from receiver.pbx.fields import Model, shapes
from receiver.pbx.resource_types import ResourceType
from receiver.simulator import conditions, validation
from receiver.simulator.validation import Context, Json, invalid, missing

_MAX_PAGE = 100


class Collection:
    """The resources of one type, in the order of their creation.

    Parameters:
        type: the resource type, with the models.
        context: returns the behaviour at this moment.
        new_id: returns a new id.
    """

    def __init__(
        self,
        type: ResourceType[Model, Model],
        context: Callable[[], Context],
        new_id: Callable[[], str],
    ) -> None:
        self.type = type
        self._context = context
        self._new_id = new_id
        self._items: dict[str, Json] = {}

    def __iter__(self) -> Iterator[Json]:
        """Iterate over the stored resources."""
        return iter(self._items.values())

    def __len__(self) -> int:
        return len(self._items)

    def create(self, data: object) -> str:
        """Store ``data`` (decoded JSON) and return its id.

        Raises:
            ApiError: 400, it breaks a limit.
        """
        taken = validation.accept(self.type.whole, data, self._context())
        self._check_unique(taken)
        return self.put(taken)

    def put(self, values: Json, key: str = "") -> str:
        """Store ``values`` unchecked and return the id, which is ``key`` if given."""
        key = key or self._new_id()
        self._items[key] = {"id": key, **values}
        return key

    def page(self, query: Mapping[str, str]) -> Json:
        """Return a page of summaries, ``{"count", "items"}``.

        Parameters:
            query: ``filter`` (see `receiver.simulator.conditions`), ``search`` (in names and
                numbers), ``orderby`` (``field desc, field``), ``skip`` and ``top`` (1 to 100).

        Raises:
            ApiError: 400, a parameter is invalid.
        """
        found = _search(list(self), query.get("search", ""))
        if condition := query.get("filter", ""):
            found = list(filter(conditions.parse(condition, self._listed()), found))
        found = self._order(found, query.get("orderby", ""))
        start = _whole(query, "skip", 0, 2**31 - 1, 0)
        start = max(0, start - self._context().behaviour.skip_origin)
        page = found[start : start + _whole(query, "top", 1, _MAX_PAGE, _MAX_PAGE)]
        return {
            "count": len(found),
            "items": [self._present(self.type.summary, item) for item in page],
        }

    def show_all(self) -> Json:
        """Return all resources in full, ``{"items"}``."""
        return {"items": [self._present(self.type.whole, item) for item in self]}

    def show(self, key: str) -> Json:
        """Return one resource in full.

        Raises:
            ApiError: 404, unknown id.
        """
        return self._present(self.type.whole, self.stored(key))

    def update(self, key: str, data: object) -> None:
        """Change the fields in ``data``; keep or reset the others, by the behaviour.

        Raises:
            ApiError: 404, unknown id; 400, the data breaks a limit.
        """
        item, context = self.stored(key), self._context()
        replaced = context.behaviour.update == "replacing"
        model = self.type.whole
        taken = validation.accept(model, data, context, "update", complete=replaced)
        if replaced:
            for name, shape in shapes(model).items():
                if shape.spec.use in ("any", "write"):
                    item.pop(name, None)
        item.update(taken)

    def destroy(self, key: str) -> None:
        """Delete one resource.

        Raises:
            ApiError: 404, unknown id.
        """
        self.stored(key)
        del self._items[key]

    def stored(self, key: str) -> Json:
        """Return one stored resource; errors as for `show`."""
        if (item := self.find(key)) is None:
            raise missing(self.type.noun)
        return item

    def find(self, key: str) -> Json | None:
        """Return one stored resource, None for an unknown id."""
        return self._items.get(key)

    def _present(self, model: type[Model], item: Json) -> Json:
        return validation.present(model, item, self._context())

    def _check_unique(self, taken: Json) -> None:
        for key, shape in shapes(self.type.whole).items():
            if shape.spec.unique and any(item[key] == taken[key] for item in self):
                raise invalid(key, "is taken already")

    def _order(self, items: list[Json], orderby: str) -> list[Json]:
        for part in reversed(orderby.split(",") if orderby else ()):
            name, _, direction = part.strip().partition(" ")
            if direction.strip().lower() not in ("", "asc", "desc"):
                raise invalid("orderby", "is not of the form field asc, field desc")
            if name not in self._listed():
                raise invalid("orderby", "names a field that lists do not have")
            reverse = direction.strip().lower() == "desc"
            items = sorted(items, key=lambda item: str(item.get(name, "")), reverse=reverse)
        return items

    def _listed(self) -> list[str]:
        version = self._context().behaviour.version
        fields = shapes(self.type.summary).items()
        return [key for key, shape in fields if shape.spec.available(version)]


def _search(items: list[Json], text: str) -> list[Json]:
    def texts(item: Json) -> Iterator[str]:
        return (str(item[name]).lower() for name in ("name", "extension_number") if name in item)

    return [item for item in items if any(text.lower() in found for found in texts(item))]


def _whole(query: Mapping[str, str], name: str, low: int, high: int, default: int) -> int:
    text = query.get(name, str(default))
    if re.fullmatch("[0-9]{1,10}", text) and low <= int(text) <= high:
        return int(text)
    raise invalid(name, f"is not a whole number from {low} to {high}")
