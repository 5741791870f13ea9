"""From a table with ``handler``, ``connector`` or ``use`` to the object that it means.

Rule 1: ``[define.NAME]`` makes one object, however often ``use = "NAME"`` names it: what it keeps
        (a cache, attempts) is shared. ``use = "NAME.ahead"`` is a handler that belongs to it.
Rule 2: whatever a constructor raises is a problem of the table; the text of what it did not raise
        for people is not shown, for it may hold what nobody shall see.
Rule 3: an object may have ``sole_names``: by option, a name by which it will be found again, and
        what is meant by that. Two of one kind that mean different things are a problem.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from receiver.configuration import places
from receiver.configuration.catalogue import Entry, Kind, find
from receiver.configuration.options import Maker
from receiver.configuration.problems import BAD, Problems
from receiver.configuration.reading import Reader
from receiver.configuration.shapes import Either, TableOf
from receiver.errors import ReceiverError
from receiver.printable import quoted


class Parts:
    """Makes handlers and connectors.

    Parameters:
        problems: where they are noted.
        variables: the environment.
        folder: what paths count from.
        defined: what stands in ``[define.…]``.
    """

    def __init__(
        self,
        problems: Problems,
        variables: Mapping[str, str | None],
        folder: Path,
        defined: Mapping[str, Any],
    ) -> None:
        self._problems = problems
        self._defined = defined
        self._made: dict[str, Any] = {}
        self._begun: list[str] = []
        self._sole: dict[tuple[type, str, str], tuple[object, places.Path]] = {}
        self.reader = Reader(problems, variables, folder, self.make)

    def make(self, table: dict[str, Any], path: places.Path) -> Any:
        """The object that ``table`` means, or `BAD`."""
        mark = next(key for key in ("handler", "connector", "use", "") if key in table or not key)
        name = table.get(mark)
        if not mark:
            return self._problems.add(path, 'this must have handler = "…", or connector or use')
        if not isinstance(name, str):
            return self._problems.add((*path, mark), "this must be a name, as a text")
        if mark == "use":
            return self._used(name, table, path)
        return self._new("handler" if mark == "handler" else "connector", name, table, path)

    def define_all(self) -> None:
        """Make what is defined and not used as well: what is wrong with it shall be known."""
        for name in self._defined:
            self._definition(name, ("define", name))

    def _used(self, name: str, table: dict[str, Any], path: places.Path) -> Any:
        whole, _, part = name.partition(".")
        if len(table) > 1:
            other = next(key for key in table if key != "use")
            text = f"options belong to [define.{whole}], not beside use"
            return self._problems.add((*path, other), text)
        if whole not in self._defined:
            near = get_close_matches(whole, self._defined, 1)
            hint = f"is {near[0]!r} meant?" if near else f"write a table [define.{whole}]"
            return self._problems.add((*path, "use"), f"nothing is defined as {whole!r}: {hint}")
        made = self._definition(whole, (*path, "use"))
        if not part or made is BAD:
            return made
        found = None if part.startswith("_") else getattr(made, part, None)
        if not callable(found):
            text = f"{whole!r} has no handler {part!r} that belongs to it"
            return self._problems.add((*path, "use"), text)
        return found

    def _definition(self, name: str, path: places.Path) -> Any:
        if name in self._begun:
            circle = " → ".join((*self._begun[self._begun.index(name) :], name))
            return self._problems.add(path, f"this leads back to itself: {circle}")
        if name not in self._made:
            self._begun.append(name)
            self._made[name] = self._defining(self._defined[name], ("define", name))
            self._begun.pop()
        return self._made[name]

    def _defining(self, table: Any, path: places.Path) -> Any:
        if isinstance(table, dict):
            return self.make(table, path)
        return self._problems.add(path, f"this must be a table, as [{'.'.join(map(str, path))}]")

    def _new(self, kind: Kind, name: str, table: dict[str, Any], path: places.Path) -> Any:
        entry = find(kind, name)
        if entry.maker is None:
            return self._problems.add((*path, kind), entry.reason)
        given = {key: value for key, value in table.items() if key != kind}
        if getattr(entry.made, "sensitive", False) is True:
            self._problems.unnamed |= {(*path, option) for option in _tables_of(entry.maker)}
        if entry.is_itself:
            made = self.reader.fields({}, given, path)
            return made if made is BAD else entry.made
        options = self.reader.fields(entry.maker.options, given, path, further=entry.maker.open)
        return BAD if options is BAD else self._call(entry, options, path)

    def _call(self, entry: Entry, options: dict[str, Any], path: places.Path) -> Any:
        function: Callable[..., Any] = entry.made
        try:
            return self._alone(function(**options), path)
        except ReceiverError as error:
            return self._problems.add(path, str(error))
        except Exception as error:
            kind = type(error).__name__
            text = f"{entry.kind} {entry.name!r} ({entry.value}) could not be made: {kind}"
            return self._problems.add(path, text)

    def _alone(self, made: Any, path: places.Path) -> Any:
        """``made``, if what its `sole_names` mean is the same for all of its kind in the file."""
        names: Mapping[str, tuple[str, object]] = getattr(made, "sole_names", {})
        for option, (name, thing) in names.items():
            first, where = self._sole.setdefault((type(made), option, name), (thing, path))
            if first is not thing:
                text = (
                    f"this has the name {quoted(name)}, as another has in line "
                    f"{self._problems.line((*where, option))}: if both are one, write it once as "
                    f'[define.…] and both times {option} = {{use = "…"}}; if not, give one of '
                    "them a name = of its own"
                )
                return self._problems.add((*path, option), text)
        return made


def _tables_of(maker: Maker) -> list[str]:
    """The options that may be tables of one's own data."""
    kinds = {
        name: option.shape.shapes if isinstance(option.shape, Either) else (option.shape,)
        for name, option in maker.options.items()
    }
    return [name for name, of in kinds.items() if any(isinstance(one, TableOf) for one in of)]
