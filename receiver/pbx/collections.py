"""A kind of thing on the PBX: listed, found, read, created, updated, deleted. Always the same way.

Rule 1: a list is read page by page, and whether ``skip`` counts from 0 or from 1 makes no
        difference.
Rule 2: a create whose answer was lost is looked up before it is sent again.
Rule 3: an update reads, lays the change over what is there, sends all that can be written, and
        reads again: whether the PBX replaces or overlays is not documented. What it did not take
        is an error.
Rule 4: what is sent is checked before, unless ``checked=False`` leaves that to the PBX.

Source: "About" of the PBX's REST API, for paging and for how updates go.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from receiver.errors import PbxError, PbxNonsense, PbxRefused, RegistrationError
from receiver.pbx import checks
from receiver.pbx.faults import may_have_happened
from receiver.pbx.fields import Model
from receiver.pbx.models import Created, Page, read, read_page, write
from receiver.pbx.requester import Requester, segment
from receiver.pbx.wire import log

M = TypeVar("M", bound=Model)
S = TypeVar("S", bound=Model)

PAGE = 100
"""Most items that the PBX puts on a page."""


@dataclass(frozen=True, slots=True)
class Kind(Generic[M, S]):
    """What distinguishes one collection from another.

    Attributes:
        one, many: what its things are called.
        whole, summary: the models of one thing, and of one in a list.
        order: how a list is ordered if nobody says.
        names: keys that a thing can be called by, the best first.
        identity: keys by which a lost create is recognised.
        paged: False if the list comes as a whole.
    """

    one: str
    many: str
    whole: type[M]
    summary: type[S]
    order: str = "name asc"
    names: tuple[str, ...] = ("id", "name")
    identity: tuple[str, ...] = ("name",)
    paged: bool = True


class Records(Generic[M, S]):
    """What can be listed, found, read and deleted. Every method raises `PbxError`."""

    def __init__(self, requester: Requester, path: str, kind: Kind[M, S]) -> None:
        self._requester = requester
        self._path = path
        self.kind = kind

    async def list(
        self,
        *,
        filter: str = "",
        search: str = "",
        orderby: str = "",
        skip: int = 0,
        top: int | None = None,
    ) -> AsyncIterator[S]:
        """All of them, page by page.

        Parameters:
            filter: as in ``name eq 'Sales' and startswith(extension_number,'80')``; `literal`
                quotes a text for it.
            search: words to look for.
            orderby: as in ``name asc, extension_number desc``.
            skip: how many to pass over. They are counted here, not by the PBX.
            top: how many at most; None for all.
        """
        if not self.kind.paged:
            given = {"filter": filter, "search": search, "orderby": orderby}
            options = (key for key, text in given.items() if text)
            checks.refuse(f"the list of the {self.kind.many} takes none of these", options)
        pages = self._pages(filter, search, orderby, None if top is None else skip + top)
        number = 0
        async for item in pages:
            number += 1
            if number > skip:
                yield item
            if top is not None and number >= skip + top:
                return

    async def show(self, item_id: str) -> M:
        """One of them, whole."""
        answer = await self._requester.get(f"reading {self.kind.one}", self._at(item_id))
        return read(self.kind.whole, answer.json(), f"{answer.what}: the answer")

    async def destroy(self, item_id: str) -> None:
        """Delete one of them."""
        await self._requester.post(f"deleting {self.kind.one}", f"{self._at(item_id)}/destroy")

    async def find(self, text: str) -> S:
        """The one that ``text`` names: by what is unique first, by its name last.

        Raises:
            RegistrationError: none is called so, or several; the text says which there are.
        """
        items = [item async for item in self.list()]
        for key in self.kind.names:
            found = [item for item in items if getattr(item, key) == text]
            if len(found) == 1:
                return found[0]
            if found:
                ids = ", ".join(repr(getattr(item, "id", "")) for item in found)
                raise RegistrationError(
                    f"{len(found)} {self.kind.many} have the {key} {text!r}: say which by its id, "
                    f"one of {ids}"
                )
        names = {str(getattr(item, key)) for item in items for key in self.kind.names[1:]} - {""}
        known = checks.nearest(text, names) if names else "the PBX shows this account none"
        raise RegistrationError(f"among the {self.kind.many} there is no {text!r}: {known}")

    def _at(self, item_id: str) -> str:
        return f"{self._path}/{segment(item_id)}"

    async def _pages(
        self, filter: str, search: str, orderby: str, most: int | None
    ) -> AsyncIterator[S]:
        """Each item once.

        Whether ``skip`` counts from 0 or from 1 is documented both ways, so pages may overlap:
        what was seen is passed over, and where items are missing at the end, the last page is read
        again from one item earlier.
        """
        top = PAGE if most is None else max(1, min(PAGE, most))
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
            if not self.kind.paged or (complete and page.count is not None):
                return
            if fresh and len(page.items) >= top:
                continue
            if complete:
                return
            many = self.kind.many
            if stepped and not fresh:
                log.warning("the PBX counts %s %s but lists only %s", page.count, many, len(seen))
                return
            log.warning("the PBX lists fewer %s than it counts: reading on one item earlier", many)
            skip, stepped = max(skip - 1, 0), True

    async def _page(self, query: Mapping[str, str | int]) -> Page[S]:
        what = f"listing the {self.kind.many}"
        if not self.kind.paged:
            answer = await self._requester.get(what, self._path)
        elif "orderby" in query:
            answer = await self._requester.get(what, self._path, query)
        else:
            try:
                ordered = {**query, "orderby": self.kind.order}
                answer = await self._requester.get(what, self._path, ordered)
            except PbxRefused as error:
                if error.status != 400:  # which fields order is not documented
                    raise
                answer = await self._requester.get(what, self._path, query)
        page = read_page(self.kind.summary, answer.json(), f"{what}: the list")
        if not all(_id(item) for item in page.items):
            raise PbxNonsense(f"{what}: the PBX lists one without an id")
        return page


class Collection(Records[M, S]):
    """What can be created and updated, too."""

    async def create(self, item: M, *, checked: bool = True) -> str:
        """Create one; its id.

        Raises:
            DeclarationError: the PBX would not accept it.
        """
        if checked:
            checks.refuse(
                f"{self.kind.one} cannot be created", checks.problems(item, creating=True)
            )
        try:
            return await self.create_once(item)
        except PbxError as error:
            if not may_have_happened(error):
                raise
            there = await self._look_up(item)
        return there or await self.create_once(item)

    async def create_once(self, item: M) -> str:
        """As `create`, but unchecked, and what becomes of a lost answer is left to the caller."""
        what = f"creating {getattr(item, 'name', '')!r}"
        answer = await self._requester.post(what, self._path, write(item))
        return read(Created, answer.json(), f"{answer.what}: the answer").id

    async def update(
        self,
        item_id: str,
        change: M | Mapping[str, Any],
        *,
        clear: Iterable[str] = (),
        checked: bool = True,
    ) -> M:
        """Change what ``change`` says, leave the rest; what it is then.

        Parameters:
            item_id: of which one.
            change: a model that says only what is to change, or a mapping of its keys. Objects are
                changed key by key, lists as a whole.
            clear: keys of texts and lists to empty.
            checked: False leaves it to the PBX to refuse.

        Raises:
            DeclarationError: the PBX would not accept it.
            PbxNonsense: it accepted it and did something else; the text names the fields.
        """
        emptied = tuple(clear)
        wanted = checks.changes(self.kind.whole, change)
        checks.refuse_clearing(self.kind.whole, emptied)
        before = await self.show(item_id)
        checks.refuse_fixed(before, wanted)
        merged = checks.overlay(before, wanted, emptied)
        if checked:
            old = checks.problems(before)
            worse = [text for text in checks.problems(merged) if text not in old]
            checks.refuse(f"{self.kind.one} cannot be updated", worse)
        await self.put(item_id, merged, clear=emptied)
        return await self._verified(before, await self.show(item_id), wanted, emptied)

    async def _verified(
        self, before: M, after: M, wanted: Mapping[str, Any], emptied: tuple[str, ...]
    ) -> M:
        """``after``, if an update did what it was to do and nothing else."""
        lost = checks.not_taken(after, wanted, emptied)
        if lost:
            raise PbxNonsense(
                f"updating {self.kind.one}: the PBX accepted it, but afterwards this is not as it "
                f"was sent: {', '.join(lost)}; is the PBX older than the field?"
            )
        touched = {*wanted, *emptied}
        gone = checks.dropped_secrets(before, after, touched)
        if gone := [*gone, *await self._lost(before, after, touched)]:
            raise PbxNonsense(
                f"{self.kind.one}: it was changed, but this PBX forgets what a change does not "
                f"repeat, and {', '.join(gone)} cannot be read from it: set it again now, and with "
                "each further change"
            )
        return after

    async def put(self, item_id: str, item: M, *, clear: Iterable[str] = ()) -> None:
        """Send the whole of ``item``, as it is; ``clear`` names what to empty."""
        what = f"updating {getattr(item, 'name', '')!r}"
        await self._requester.post(what, self._at(item_id), write(item, clear, updating=True))

    async def _lost(self, before: M, after: M, touched: Set[str]) -> list[str]:
        """Keys that are wrong after an update of ``touched``, in ways that only a kind knows."""
        return []

    async def _look_up(self, item: M) -> str:
        """The id of what a create with a lost answer left behind; empty if it left nothing."""
        sent = write(item)
        marks = {key: sent[key] for key in self.kind.identity if key in sent}
        async for there in self.list():
            if checks.covers(write(there), marks):
                return _id(there)
        return ""


def literal(text: str) -> str:
    """``text`` as a literal for a ``filter``."""
    return "'" + text.replace("'", "''") + "'"


def _id(item: Model) -> str:
    return str(getattr(item, "id", ""))
