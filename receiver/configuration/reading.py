"""From the values of a file to those that Python would have: by shape, and with all problems noted.

Rule 1: a problem is noted and the rest is read on: what is `BAD` is made into nothing.
Rule 2: ``$NAME`` in a text, or ``${name}``, is a variable of the environment; ``$$`` is a dollar.
        One that is missing or empty is a problem: no secret is left out by mistake.
Rule 3: what came out of a variable, or may be a number of a caller, stands in no problem's text.
Rule 4: a path counts from the folder of the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from receiver import limits
from receiver.configuration import places, shapes
from receiver.configuration.options import Option
from receiver.configuration.problems import BAD, Problems
from receiver.errors import ReplyError
from receiver.printable import quoted, short
from receiver.replies import Forward, Hangup, Repeat, read_word
from receiver.secrets import Secret

_VARIABLE = re.compile(r"\$(?:\$|([A-Z_][A-Z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})")
_REPLIES = ("forward", "hangup", "repeat")

Make = Callable[[dict[str, Any], places.Path], Any]
"""Makes what a table with ``handler``, ``connector`` or ``use`` means, or `BAD`."""


class Reader:
    """Reads values.

    Parameters:
        problems: where they are noted.
        variables: the environment.
        folder: what paths count from.
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
        path: places.Path,
        *,
        besides: Collection[str] = (),
        further: bool = False,
    ) -> dict[str, Any]:
        """The values of a table with known keys, `BAD` if one of them is.

        Parameters:
            options: what there may be.
            table: what there is.
            path: where.
            besides: keys that are read elsewhere.
            further: whether any other key may be there as well.
        """
        made: dict[str, Any] = {}
        for key, value in table.items():
            if key in besides:
                continue
            option = options.get(key)
            if option is None and further:
                made[key] = self.value(shapes.Anything(), value, (*path, key))
            elif option is None:
                made[key] = self._problems.add((*path, key), _unknown(key, options, besides))
            elif option.shape is None:
                only = "this can only be given in Python, for it is a function"
                made[key] = self._problems.add((*path, key), only)
            else:
                made[key] = self.value(option.shape, value, (*path, key))
        for option in options.values():
            if option.required and option.name not in table:
                wanted = option.shape.words if option.shape else "a function, so only Python can"
                text = f"{option.name} is missing: it is {wanted}"
                made[option.name] = self._problems.add(path, text)
        return BAD if any(value is BAD for value in made.values()) else made

    def value(self, shape: shapes.Shape, value: Any, path: places.Path) -> Any:
        """What ``value`` means where ``shape`` is wanted, or `BAD`."""
        if not shape.takes(value):
            return self._problems.add(path, f"this is {_kind(value)}; it must be {shape.words}")
        if isinstance(value, str):
            return self._text(shape, value, path)
        match shape:
            case shapes.Either():
                taking = next(one for one in shape.shapes if one.takes(value))
                return self.value(taking, value, path)
            case shapes.Leads():
                return self.leads(shape, value, path)
            case shapes.Part():
                return self._make(value, path)
            case shapes.ListOf() | shapes.Row():
                return self._list(shape, value, path)
            case shapes.TableOf():
                found = {k: self.value(shape.value, v, (*path, k)) for k, v in value.items()}
                return BAD if any(one is BAD for one in found.values()) else found
            case shapes.Choice():
                return self._chosen(shape, value, path)
            case shapes.Anything():
                return self._anything(value, path)
            case _:
                return value

    def leads(self, shape: shapes.Leads, table: dict[str, Any], path: places.Path) -> Any:
        """The reply or the handler that a table means."""
        mark = next(mark for mark in shapes.MARKS if mark in table)
        if mark not in _REPLIES:
            if shape.handlers:
                return self._handler(table, path)
            only = 'only a reply may stand here: "222", "hangup", "repeat"'
            return self._problems.add((*path, mark), only)
        if len(table) > 1:
            other = next(key for key in table if key != mark)
            text = f"{mark} = … is a whole reply: nothing may stand beside it"
            return self._problems.add((*path, other), text)
        return self._reply(mark, table[mark], (*path, mark))

    def _handler(self, table: dict[str, Any], path: places.Path) -> Any:
        made = self._make(table, path)
        if made is not BAD and limits.problem_of_handler(made):
            wrong = f"this is no handler, which takes a Call, but of type {type(made).__name__}"
            return self._problems.add(path, wrong)
        return made

    def _reply(self, mark: str, value: object, path: places.Path) -> Any:
        if mark == "forward":
            if not isinstance(value, str):
                wrong = f'this is {_kind(value)}; it must be a text, as in forward = "222"'
                return self._problems.add(path, wrong)
            text = self._expanded(value, path)
            try:
                return text if text is BAD else Forward(text)
            except ReplyError as error:
                return self._problems.add(path, str(error))
        if value is not True:
            return self._problems.add(path, f"write {mark} = true")
        return Hangup() if mark == "hangup" else Repeat()

    def _text(self, shape: shapes.Shape, value: str, path: places.Path) -> Any:
        text = self._expanded(value, path)
        if text is BAD:
            return BAD
        if isinstance(shape, shapes.Either):
            shape = next(one for one in shape.shapes if one.takes(value))
        if isinstance(shape, shapes.Choice):
            return self._chosen(shape, text, path)
        if shape is shapes.SECRET:
            return Secret(text)
        if shape is shapes.PATH and text and "://" not in text:
            return self._folder / Path(text).expanduser()
        if isinstance(shape, shapes.Leads):
            try:
                reply = read_word(text)
            except ReplyError as error:
                return self._problems.add(path, f"this is {error}")
            return text if shape.handlers else reply
        return text

    def _expanded(self, text: str, path: places.Path) -> Any:
        """``text`` with its variables, or `BAD`."""
        missing: list[str] = []

        def put(found: re.Match[str]) -> str:
            name = found[1] or found[2]
            if name is None:
                return "$"
            value = self._variables.get(name) or ""
            if not value:
                missing.append(name)
            elif len(value) > 3:  # shorter ones stand in any text
                self._problems.hidden.add(value)
            return value

        whole = _VARIABLE.sub(put, text)
        for name in missing:
            self._problems.add(
                path, f"the variable {name} is not set: export it, or write it into .env"
            )
        return BAD if missing else whole

    def _list(self, shape: shapes.ListOf | shapes.Row, value: list[Any], path: places.Path) -> Any:
        if isinstance(shape, shapes.ListOf):
            items, made = (shape.item,) * len(value), shape.made
        else:
            items, made = shape.items, tuple
        if len(value) != len(items):
            wrong = f"this has {len(value)} entries; it must be {shape.words}"
            return self._problems.add(path, wrong)
        entries = [
            self.value(item, one, (*path, number))
            for number, (item, one) in enumerate(zip(items, value, strict=True))
        ]
        return BAD if any(one is BAD for one in entries) else made(entries)

    def _chosen(self, shape: shapes.Choice, value: Any, path: places.Path) -> Any:
        if value in shape.values:
            return None if value == "none" and shape.none else value
        shown = quoted(self._problems.without_hidden(str(value)), 40)
        return self._problems.add(path, f"this is {shown}; it must be {shape.words}")

    def _anything(self, value: Any, path: places.Path) -> Any:
        if shapes.is_marked(value):
            if value.keys().isdisjoint(_REPLIES):
                return self._make(value, path)
            return self.leads(shapes.Leads(handlers=True), value, path)
        if isinstance(value, dict):
            return self.value(shapes.TableOf(shapes.Anything()), value, path)
        if isinstance(value, list):
            return self.value(shapes.ListOf(shapes.Anything()), value, path)
        return value


def _unknown(key: str, options: Mapping[str, Option], besides: Collection[str]) -> str:
    known = [name for name, option in options.items() if option.shape is not None] + [*besides]
    if near := get_close_matches(key, known, 1):
        return f"there is no such key; is {near[0]} meant?"
    return (
        f"there is no such key; there are {', '.join(known)}" if known else "there are no options"
    )


def _kind(value: object) -> str:
    """What it is, in words, and never what stands there: it may be a PIN."""
    names = {str: "a text", bool: "true or false", int: "a whole number", float: "a number"}
    names |= {list: "a list", dict: "a table"}
    return names.get(type(value), f"a {short(type(value).__name__)}")
