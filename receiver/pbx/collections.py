"""Collections of the PBX: list, find, show, create, update and delete their resources.

Rule 1: lists are read page by page, whether the PBX counts ``skip`` from 0 or from 1.
Rule 2: after a create without an answer, the resource is searched for before a retry. A created
        resource is read back; a field that the PBX did not store is an error, with the id.
Rule 3: an update reads the resource, merges the change, sends all writable fields, and reads
        again: whether the PBX replaces or merges is not documented. A field that it did not store
        is an error.
Rule 4: requests are checked before they are sent, unless ``checked=False``.

Source: "About" of the PBX's REST API, for paging and updates.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Set
from typing import Any, Generic, TypeVar

from receiver.errors import PbxError, PbxInvalid, PbxRefused, RegistrationError
from receiver.pbx import checks
from receiver.pbx.api_errors import may_have_happened
from receiver.pbx.authorized_connection import AuthorizedConnection, segment
from receiver.pbx.connection import log
from receiver.pbx.fields import Model
from receiver.pbx.models import Created, Page, read, read_page, write
from receiver.pbx.resource_types import ResourceType

M = TypeVar("M", bound=Model)
S = TypeVar("S", bound=Model)

PAGE_SIZE = 100
"""Most items that the PBX puts on a page."""


class Records(Generic[M, S]):
    """A collection to list, find, show and delete in. Every method raises `PbxError`."""

    def __init__(
        self, connection: AuthorizedConnection, type: ResourceType[M, S], parent: str = ""
    ) -> None:
        self._connection = connection
        self._path = parent + type.path
        self.type = type

    async def list(
        self,
        *,
        filter: str = "",
        search: str = "",
        orderby: str = "",
        skip: int = 0,
        top: int | None = None,
    ) -> AsyncIterator[S]:
        """List the collection, page by page.

        Parameters:
            filter: as in ``name eq 'Sales' and startswith(extension_number,'80')``; `literal`
                quotes a text for it.
            search: words to look for.
            orderby: as in ``name asc, extension_number desc``.
            skip: how many to skip; counted by the client, not by the PBX.
            top: how many to list at most; None for all.
        """
        if not self.type.paged:
            given = {"filter": filter, "search": search, "orderby": orderby}
            options = (key for key, text in given.items() if text)
            checks.refuse(f"the list of the {self.type.many} has no such options", options)
        pages = self._pages(filter, search, orderby, None if top is None else skip + top)
        number = 0
        async for item in pages:
            number += 1
            if number > skip:
                yield item
            if top is not None and number >= skip + top:
                return

    async def show(self, item_id: str) -> M:
        """Return one resource in full."""
        answer = await self._connection.get(f"reading {self.type.one}", self._at(item_id))
        return read(self.type.whole, answer.json(), f"{answer.what}: the answer")

    async def destroy(self, item_id: str) -> None:
        """Delete one resource."""
        await self._connection.post(f"deleting {self.type.one}", f"{self._at(item_id)}/destroy")

    async def find(self, text: str) -> S:
        """Return the resource with this id, number or name, in this order.

        Raises:
            RegistrationError: none or several match; the text lists candidates.
        """
        items = [item async for item in self.list()]
        for key in self.type.names:
            found = [item for item in items if getattr(item, key) == text]
            if len(found) == 1:
                return found[0]
            if found:
                raise RegistrationError(
                    f"{len(found)} {self.type.many} have the {key} {text!r}: choose one by "
                    f"{checks.distinction(found, self.type.names, key)}"
                )
        names = {str(getattr(item, key)) for item in items for key in self.type.names[1:]} - {""}
        known = checks.nearest(text, names) if names else "this account sees none on the PBX"
        raise RegistrationError(f"no match for {text!r} among the {self.type.many}: {known}")

    def _at(self, item_id: str) -> str:
        return f"{self._path}/{segment(item_id)}"

    async def _pages(
        self, filter: str, search: str, orderby: str, most: int | None
    ) -> AsyncIterator[S]:
        """Yield each item once.

        ``skip`` is documented to count from 0 and from 1, so pages may overlap: known items are
        dropped, and if items are missing at the end, the last page is read again from one item
        earlier.
        """
        top = PAGE_SIZE if most is None else max(1, min(PAGE_SIZE, most))
        given = {"filter": filter, "search": search, "orderby": orderby}
        query: dict[str, str | int] = {key: text for key, text in given.items() if text}
        seen: set[str] = set()
        skip, stepped = 0, False
        while True:
            page = await self._page({**query, "skip": skip, "top": top})
            fresh = {_id(item): item for item in page.items if _id(item) not in seen}
            for item in fresh.values():
                yield item
            seen |= fresh.keys()
            skip += len(page.items)
            complete = page.count is None or len(seen) >= page.count
            if not self.type.paged or (complete and page.count is not None):
                return
            if fresh and len(page.items) >= top:
                continue
            if complete:
                return
            many = self.type.many
            if stepped and not fresh:
                log.warning("the PBX counts %s %s but lists only %s", page.count, many, len(seen))
                return
            log.warning(
                "the PBX lists fewer %s than it counts: reading again from one item earlier", many
            )
            skip, stepped = max(skip - 1, 0), True

    async def _page(self, query: Mapping[str, str | int]) -> Page[S]:
        what = f"listing the {self.type.many}"
        if not self.type.paged:
            answer = await self._connection.get(what, self._path)
        elif "orderby" in query:
            answer = await self._connection.get(what, self._path, query)
        else:
            try:
                ordered = {**query, "orderby": self.type.order}
                answer = await self._connection.get(what, self._path, ordered)
            except PbxRefused as error:
                if error.status != 400:  # which fields order is not documented
                    raise
                answer = await self._connection.get(what, self._path, query)
        page = read_page(self.type.summary, answer.json(), f"{what}: the list")
        if not all(_id(item) for item in page.items):
            raise PbxInvalid(f"{what}: an item has no id")
        return page


class Collection(Records[M, S]):
    """A collection to create and update in, too."""

    async def create(self, item: M, *, checked: bool = True, look_up: bool = True) -> str:
        """Create a resource, read it back, and return its id.

        Parameters:
            item: the resource, without an id.
            checked: False sends it unchecked.
            look_up: whether to search for the resource if the answer was lost.

        Raises:
            DeclarationError: the PBX would not accept it.
            PbxInvalid: it was created with other values; the text names the id and the fields.
        """
        if checked:
            found = self._problems(item, creating=True)
            checks.refuse(f"{self.type.one} cannot be created", found)
        create = self._create_or_find if look_up else self.create_once
        made = await create(item)
        await self._confirm(made, item)
        return made

    async def _create_or_find(self, item: M) -> str:
        try:
            return await self.create_once(item)
        except PbxError as error:
            if not may_have_happened(error):
                raise
            existing = await self._look_up(item)
        return existing or await self.create_once(item)

    async def _confirm(self, item_id: str, item: M) -> M:
        """Return the created resource; raise `PbxInvalid` if it differs from the request."""
        what = f"{self.type.one} was created, its id is {item_id}"
        try:
            after = await self.show(item_id)
        except PbxError as error:
            raise PbxInvalid(f"{what}, but it could not be read back: {error}") from error
        checks.confirm_taken(what, after, write(item))
        return after

    async def create_once(self, item: M) -> str:
        """Create a resource without checks, without reading it back, and without a retry."""
        what = f"creating {getattr(item, 'name', '')!r}"
        answer = await self._connection.post(what, self._path, write(item))
        return read(Created, answer.json(), f"{answer.what}: the answer").id

    async def update(
        self,
        item_id: str,
        change: M | Mapping[str, Any],
        *,
        clear: Iterable[str] = (),
        checked: bool = True,
    ) -> M:
        """Change the fields in ``change``, keep all others, and return the resource.

        Parameters:
            item_id: of the resource.
            change: a model with the changed fields only, or a mapping of its keys. Objects are
                changed key by key, lists as a whole.
            clear: keys of texts and lists to empty.
            checked: False sends the change unchecked.

        Raises:
            DeclarationError: the PBX would not accept it.
            PbxInvalid: it accepted the change and stored other values; the text names the fields.
        """
        emptied = tuple(clear)
        wanted = checks.changes(self.type.whole, change)
        checks.refuse_clearing(self.type.whole, emptied)
        before = await self.show(item_id)
        checks.refuse_fixed(before, wanted)
        merged = checks.overlay(before, wanted, emptied)
        if checked:
            old = self._problems(before)
            worse = [text for text in self._problems(merged) if text not in old]
            checks.refuse(f"{self.type.one} cannot be updated", worse)
        await self.put(item_id, merged, clear=emptied)
        return await self._verified(before, await self.show(item_id), wanted, emptied)

    def _problems(self, item: M, *, creating: bool = False) -> tuple[str, ...]:
        """Return the problems for which this PBX would refuse ``item``."""
        return checks.problems(item, creating=creating)

    async def _verified(
        self, before: M, after: M, wanted: Mapping[str, Any], emptied: tuple[str, ...]
    ) -> M:
        """Return ``after``; raise `PbxInvalid` if the update did more or less than ``wanted``."""
        what = f"updating {self.type.one}: the PBX accepted it"
        checks.confirm_taken(what, after, wanted, emptied)
        touched = {*wanted, *emptied}
        gone = checks.dropped_secrets(before, after, touched)
        if gone := [*gone, *await self._lost(before, after, touched)]:
            raise PbxInvalid(
                f"{self.type.one} was changed, but this PBX drops fields that a change does not "
                f"repeat, and {', '.join(gone)} cannot be read from it: set it again now, and in "
                "each further change"
            )
        return after

    async def put(self, item_id: str, item: M, *, clear: Iterable[str] = ()) -> None:
        """Send all fields of ``item``; ``clear`` names the fields to empty."""
        what = f"updating {getattr(item, 'name', '')!r}"
        await self._connection.post(what, self._at(item_id), write(item, clear, updating=True))

    async def _lost(self, before: M, after: M, touched: Set[str]) -> list[str]:
        """Return keys that an update of ``touched`` has lost, by the rules of the resource type."""
        return []

    async def _look_up(self, item: M) -> str:
        """Return the id of the resource that a create with a lost answer made; empty for none."""
        sent = write(item)
        marks = {key: sent[key] for key in self.type.identity if key in sent}
        async for candidate in self.list():
            if checks.covers(write(candidate), marks):
                return _id(candidate)
        return ""


def literal(text: str) -> str:
    """Return ``text`` as a literal for a ``filter``."""
    return "'" + text.replace("'", "''") + "'"


def _id(item: Model) -> str:
    return str(getattr(item, "id", ""))
