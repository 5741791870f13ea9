"""The object of a table with ``handler``, ``connector``, ``value`` or ``use``.

Rule 1: ``[define.NAME]`` makes one object, which all tables with ``use = "NAME"`` share, with its
        state (a cache, attempts). ``use = "NAME.ahead"`` is a handler that belongs to it.
Rule 2: any exception of a constructor is a problem of the table; the text is shown only for our own
        errors, because another may contain a secret.
Rule 3: an object may have ``sole_names``: by option, a name that must be unique, and the object
        with that name. Two of one type with one name and different objects are a problem.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast, get_origin

from receiver.config import line_numbers
from receiver.config.catalogue import Entry, Kind, find
from receiver.config.options import Signature
from receiver.config.problems import INVALID, Problems
from receiver.config.types import members_of
from receiver.config.values import ValueReader
from receiver.errors import ReceiverError
from receiver.text import quoted


class ObjectFactory:
    """Makes handlers and connectors.

    Parameters:
        problems: receives the problems.
        variables: the environment.
        folder: the base of relative paths.
        defined: the tables ``[define.…]``.
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
        self._in_progress: list[str] = []
        self._sole: dict[tuple[type, str, str], tuple[object, line_numbers.Path]] = {}
        self.reader = ValueReader(problems, variables, folder, self.make)

    def make(self, table: dict[str, Any], path: line_numbers.Path) -> Any:
        """Return the object that ``table`` describes, or `INVALID`."""
        marks = ("handler", "connector", "use", "value", "")
        mark = next(key for key in marks if key in table or not key)
        name = table.get(mark)
        if not mark:
            return self._problems.add(
                path, 'this needs a key handler = "…", connector, value or use'
            )
        if not isinstance(name, str):
            return self._problems.add((*path, mark), "this must be a name, as a string")
        if mark == "use":
            return self._used(name, table, path)
        return self._new(cast("Kind", mark), name, table, path)

    def define_all(self) -> None:
        """Make every definition, used or not, to note its problems."""
        for name in self._defined:
            self._definition(name, ("define", name))

    def _used(self, name: str, table: dict[str, Any], path: line_numbers.Path) -> Any:
        whole, _, part = name.partition(".")
        if len(table) > 1:
            other = next(key for key in table if key != "use")
            text = f"options belong in [define.{whole}], not next to use"
            return self._problems.add((*path, other), text)
        if whole not in self._defined:
            near = get_close_matches(whole, self._defined, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"add a table [define.{whole}]"
            return self._problems.add((*path, "use"), f"{whole!r} is not defined: {hint}")
        made = self._definition(whole, (*path, "use"))
        if not part or made is INVALID:
            return made
        handler = None if part.startswith("_") else getattr(made, part, None)
        if not callable(handler):
            text = f"{whole!r} has no handler {part!r}"
            return self._problems.add((*path, "use"), text)
        return handler

    def _definition(self, name: str, path: line_numbers.Path) -> Any:
        if name in self._in_progress:
            cycle = " → ".join((*self._in_progress[self._in_progress.index(name) :], name))
            return self._problems.add(path, f"the definition refers to itself: {cycle}")
        if name not in self._made:
            self._in_progress.append(name)
            self._made[name] = self._table(self._defined[name], ("define", name))
            self._in_progress.pop()
        return self._made[name]

    def _table(self, table: Any, path: line_numbers.Path) -> Any:
        if isinstance(table, dict):
            return self.make(table, path)
        return self._problems.add(path, f"this must be a table, as in [{'.'.join(map(str, path))}]")

    def _new(self, kind: Kind, name: str, table: dict[str, Any], path: line_numbers.Path) -> Any:
        entry = find(kind, name)
        if entry.signature is None:
            return self._problems.add((*path, kind), entry.reason)
        given = {key: value for key, value in table.items() if key != kind}
        if getattr(entry.target, "sensitive", False) is True:
            self._problems.unnamed |= {(*path, option) for option in _tables_of(entry.signature)}
        if entry.is_handler:
            made = self.reader.fields({}, given, path)
            return made if made is INVALID else entry.target
        options = self.reader.fields(
            entry.signature.options, given, path, open=entry.signature.open
        )
        return INVALID if options is INVALID else self._call(entry, options, path)

    def _call(self, entry: Entry, options: dict[str, Any], path: line_numbers.Path) -> Any:
        function: Callable[..., Any] = entry.target
        try:
            return self._unique(function(**options), path)
        except ReceiverError as error:
            return self._problems.add(path, str(error))
        except Exception as error:
            kind = type(error).__name__
            text = f"{entry.kind} {entry.name!r} ({entry.value}) could not be made: {kind}"
            return self._problems.add(path, text)

    def _unique(self, made: Any, path: line_numbers.Path) -> Any:
        """Return ``made`` if its `sole_names` have the same meaning throughout the file."""
        names: Mapping[str, tuple[str, object]] = getattr(made, "sole_names", {})
        for option, (name, thing) in names.items():
            first, where = self._sole.setdefault((type(made), option, name), (thing, path))
            if first is not thing:
                text = (
                    f"the name {quoted(name)} is already used in line "
                    f"{self._problems.line((*where, option))}: if both are the same, write one "
                    f'[define.…] and use {option} = {{use = "…"}} twice; otherwise set a different '
                    "name = for one of them"
                )
                return self._problems.add((*path, option), text)
        return made


def _tables_of(signature: Signature) -> list[str]:
    """Return the options that may be tables of the user's data."""
    return [
        name
        for name, option in signature.options.items()
        if any(get_origin(one) is dict for one in members_of(option.type))
    ]
