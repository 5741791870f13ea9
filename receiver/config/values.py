"""Conversion of a file's values to those of Python, by type, with all problems noted.

Rule 1: a problem is noted and reading continues; `INVALID` values are not used further.
Rule 2: ``$NAME`` in a string, or ``${name}``, is a variable of the environment; ``$$`` is a dollar.
        A missing or empty one is a problem, so that no secret is left out by mistake.
Rule 3: no problem's text contains the value of a variable, or what may be a caller's number.
Rule 4: a path is relative to the folder of the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import msgspec

from receiver.calls import Call
from receiver.config import line_numbers, types
from receiver.config.options import Option, argument_of, signature_of
from receiver.config.problems import INVALID, Problems
from receiver.credentials import Secret, problem_of_variable
from receiver.declarations import limits
from receiver.declarations.call_events import CallEvent
from receiver.declarations.ivr_menu import Disa, Voicemail
from receiver.declarations.speech import Speech
from receiver.errors import DeclarationError, ReplyError
from receiver.replies import keywords, read_word
from receiver.text import counted, quoted, short

_VARIABLE = re.compile(r"\$(?:\$|([A-Z_][A-Z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})")

Make = Callable[[dict[str, Any], line_numbers.Path], Any]
"""Returns the object of a table with ``handler``, ``connector`` or ``use``, or `INVALID`."""


class ValueReader:
    """Converts values.

    Parameters:
        problems: receives the problems.
        variables: the environment.
        folder: the base of relative paths.
        make: makes handlers and connectors.
    """

    def __init__(
        self,
        problems: Problems,
        variables: Mapping[str, str | None],
        folder: Path,
        make: Make,
    ) -> None:
        self._problems = problems
        self._variables = variables
        self._folder = folder
        self._make = make

    def fields(
        self,
        options: Mapping[str, Option],
        table: Mapping[str, Any],
        path: line_numbers.Path,
        *,
        elsewhere: Collection[str] = (),
        open: bool = False,
    ) -> dict[str, Any]:
        """Return the values of a table with known keys, `INVALID` if one of them is.

        Parameters:
            options: the known keys.
            table: the table.
            path: where the table is.
            elsewhere: keys that are read elsewhere.
            open: whether the table may have any other key too.
        """
        made: dict[str, Any] = {}
        for key, value in table.items():
            if key in elsewhere:
                continue
            option = options.get(key)
            if option is None and open:
                made[key] = self.value(Any, value, (*path, key))
            elif option is None:
                made[key] = self._problems.add((*path, key), _unknown(key, options, elsewhere))
            elif option.type is None:
                problem = "only Python can set this, because it is a function"
                made[key] = self._problems.add((*path, key), problem)
            else:
                made[key] = self.value(option.type, value, (*path, key))
        for option in options.values():
            if option.required and option.name not in table:
                needed = types.in_words(option.type) if option.type else "a function, in Python"
                problem = f"{option.name} is missing; it must be {needed}"
                made[option.name] = self._problems.add(path, problem)
        return INVALID if any(value is INVALID for value in made.values()) else made

    def value(self, kind: Any, value: Any, path: line_numbers.Path) -> Any:
        """Return ``value`` converted to the type ``kind``, or `INVALID`."""
        is_table = types.is_table(kind) and isinstance(value, dict)  # its keys have better errors
        if not is_table and not types.accepts(kind, value):
            problem = f"this is {_type_name(value)}; it must be {types.in_words(kind)}"
            return self._problems.add(path, problem)
        if isinstance(value, str):
            expanded = self._expanded(value, path)
            return INVALID if expanded is INVALID else self._converted(kind, expanded, path)
        return self._converted(kind, value, path)

    def _converted(self, kind: Any, value: Any, path: line_numbers.Path) -> Any:
        """Return ``value``, in which variables are expanded, converted to ``kind``."""
        members = types.members_of(kind)
        kind = next((one for one in members if types.accepts(one, value)), kind)
        origin = get_origin(kind) or kind
        if origin in (types.ReplyValue, types.ThenValue):
            return self._then(value, path, handlers=origin is types.ThenValue)
        if origin in (types.RuleValue, types.MenuRuleValue):
            return self._rule(kind, value, path)
        if types.is_table(kind):
            return self._table(kind, value, path)
        if origin is types.ConnectorValue:
            return self._make(value, path)
        if origin is types.EventHandlerValue:
            return self._handler(value, path, CallEvent)
        if origin is types.SpeechValue:
            options = self.fields(signature_of(Speech).options, value, path)
            return options if options is INVALID else Speech(**options)
        if origin in (list, tuple, set, frozenset):
            return self._list(kind, value, path)
        if origin is dict:
            entry = get_args(kind)[1]
            table = {key: self.value(entry, one, (*path, key)) for key, one in value.items()}
            return INVALID if any(one is INVALID for one in table.values()) else table
        if origin is Any:
            return self._any(value, path)
        if kind is Secret:
            return Secret(value)
        if kind is Path:
            is_path = value and "://" not in value
            return self._folder / Path(value).expanduser() if is_path else value
        return self._plain(kind, value, path)

    def _plain(self, kind: Any, value: Any, path: line_numbers.Path) -> Any:
        """Return a scalar or one of several values, as msgspec converts it."""
        try:
            converted = msgspec.convert(value, kind)
        except msgspec.ValidationError:
            shown = quoted(self._problems.without_hidden(str(value)), 40)
            problem = f"this is {shown}; it must be {types.in_words(kind)}"
            return self._problems.add(path, problem)
        return None if get_origin(kind) is Annotated and converted == "none" else converted

    def _then(self, value: Any, path: line_numbers.Path, *, handlers: bool) -> Any:
        """Return the reply or the handler that a string or a marked table stands for."""
        if isinstance(value, str):
            try:
                reply = read_word(value)
            except ReplyError as error:
                return self._problems.add(path, f"this is {error}")
            return value if handlers else reply
        mark = next(mark for mark in types.marks() if mark in value)
        if mark not in keywords():
            if handlers:
                return self._handler(value, path, Call)
            problem = 'only a reply is accepted here: "222", "hangup", "repeat"'
            return self._problems.add((*path, mark), problem)
        if len(value) > 1:
            other = next(key for key in value if key != mark)
            problem = f"{mark} = … is a complete reply: remove this key"
            return self._problems.add((*path, other), problem)
        return self._reply(mark, value[mark], (*path, mark))

    def _handler(self, table: dict[str, Any], path: line_numbers.Path, of: type) -> Any:
        """Return a handler that takes an argument of the type ``of``, as far as it says."""
        made = self._make(table, path)
        if made is INVALID:
            return made
        other = {Call: CallEvent, CallEvent: Call}[of]
        if limits.problem_of_handler(made) or argument_of(made) is other:
            problem = f"this is not a handler, which takes a {of.__name__}: it is a"
            return self._problems.add(path, f"{problem} {type(made).__name__}")
        return made

    def _reply(self, mark: str, value: object, path: line_numbers.Path) -> Any:
        kind = keywords()[mark]
        if kind.has_target():
            if not isinstance(value, str):
                problem = f'this is {_type_name(value)}; it must be a string, as in forward = "222"'
                return self._problems.add(path, problem)
            text = self._expanded(value, path)
            try:
                return text if text is INVALID else kind.of(text)
            except ReplyError as error:
                return self._problems.add(path, str(error))
        if value is not True:
            return self._problems.add(path, f"write {mark} = true")
        return kind.of()

    def _rule(self, kind: Any, value: Any, path: line_numbers.Path) -> Any:
        """Return the rule of an IVR that a string or a table stands for."""
        if isinstance(value, str) and value.strip().lower() == Disa.keyword and Disa in kind.kinds:
            return Disa()
        if isinstance(value, str) or not keywords().keys().isdisjoint(value):
            return self._then(value, path, handlers=False)
        if value.keys() != {Voicemail.keyword}:
            return self._problems.add(path, f"it must be {types.in_words(kind)}")
        where = (*path, Voicemail.keyword)
        extension = self.value(str, value[Voicemail.keyword], where)
        try:
            return extension if extension is INVALID else Voicemail(extension)
        except DeclarationError as error:
            return self._problems.add(where, error.problem)

    def _table(self, kind: Any, value: dict[str, Any], path: line_numbers.Path) -> Any:
        """Return the value that a table stands for, with ``use`` that of a definition."""
        marked = "use" in value or "value" in value
        made = self._make(value if marked else {"value": kind.name, **value}, path)
        if made is INVALID or isinstance(made, kind.target):
            return made
        problem = f"this is a {type(made).__name__}; it must be {types.in_words(kind)}"
        return self._problems.add(path, problem)

    def _expanded(self, text: str, path: line_numbers.Path) -> Any:
        """Return ``text`` with its variables expanded, or `INVALID`."""
        problems: list[str] = []

        def expand(match: re.Match[str]) -> str:
            name = match[1] or match[2]
            if name is None:
                return "$"
            value = self._variables.get(name) or ""
            if len(value) > 3:  # a shorter one occurs in any text
                self._problems.hidden.add(value)
            if not value:
                problems.append(f"{name} is not set: export it, or write it to .env")
            elif problem := problem_of_variable(value):
                problems.append(f"{name} {problem}")
            return value

        expanded = _VARIABLE.sub(expand, text)
        for problem in problems:
            self._problems.add(path, f"the variable {problem}")
        return INVALID if problems else expanded

    def _list(self, kind: Any, value: list[Any], path: line_numbers.Path) -> Any:
        made, items = get_origin(kind), get_args(kind)
        if made is not tuple or items[-1] is ...:
            items = (items[0],) * len(value)
        if len(value) != len(items):
            entries_there = counted(len(value), "entry", "entries")
            problem = f"this has {entries_there}; it must be {types.in_words(kind)}"
            return self._problems.add(path, problem)
        entries = [
            self.value(item, one, (*path, number))
            for number, (item, one) in enumerate(zip(items, value, strict=True))
        ]
        return INVALID if any(one is INVALID for one in entries) else made(entries)

    def _any(self, value: Any, path: line_numbers.Path) -> Any:
        if types.is_marked(value):
            if value.keys().isdisjoint(keywords()):
                return self._make(value, path)
            return self._then(value, path, handlers=True)
        if isinstance(value, dict | list):
            kind = dict[str, Any] if isinstance(value, dict) else list[Any]
            return self._converted(kind, value, path)
        return value


def _unknown(key: str, options: Mapping[str, Option], elsewhere: Collection[str]) -> str:
    known = [name for name, option in options.items() if option.type is not None] + [*elsewhere]
    if near := get_close_matches(key, known, 1):
        return f"there is no such key; did you mean {near[0]}?"
    return f"there is no such key; known are {', '.join(known)}" if known else "it has no options"


def _type_name(value: object) -> str:
    """Return the type of a value in words, without the value, which may be a PIN."""
    names = {str: "a string", bool: "true or false", int: "an integer", float: "a number"}
    names |= {list: "a list", dict: "a table"}
    return names.get(type(value), f"a {short(type(value).__name__)}")
