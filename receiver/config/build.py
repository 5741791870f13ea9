"""The app that a configuration file declares.

Rule 1: a file makes the same objects as Python: `Ivr`, `Ivr.add`, `Events`, … and `Receiver` check
        their arguments; this module adds the line and the key.
Rule 2: all problems are reported at once.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from receiver.app import Receiver
from receiver.calls import Kind
from receiver.config import line_numbers
from receiver.config.document import (
    ACTION,
    ANNOUNCEMENT,
    APP,
    EVENT_ACTION,
    EVENTS,
    IVR,
    KINDS,
)
from receiver.config.factory import ObjectFactory
from receiver.config.problems import INVALID, Problems, without_keys
from receiver.declarations.announcement import Announcement
from receiver.declarations.call_events import EVENT_KINDS
from receiver.declarations.destinations import handler_of
from receiver.declarations.event_actions import Events
from receiver.declarations.ivr import Ivr
from receiver.declarations.source_location import declared_at
from receiver.errors import ConfigurationError, DeclarationError, LoadError, MaskError
from receiver.masks import declared_mask
from receiver.replies import is_reply
from receiver.settings import environment
from receiver.text import short

_DEEP = "the nesting is too deep"


def load_file(file: str) -> Receiver:
    """Return the app that a file declares; variables come from the environment and ``.env``.

    Raises:
        LoadError: there is no such file, or it is not text in UTF-8.
        ConfigurationError: the file has errors; the text has a line for each.
        SettingsError: ``.env`` cannot be read.
    """
    path = Path(file)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise LoadError(f"{short(file, 300)}: {error.strerror}") from None
    except (UnicodeDecodeError, ValueError):
        raise LoadError(
            f"{short(file, 300)} is not text in UTF-8: save it in that encoding"
        ) from None
    return build(text, file, environment(), path.absolute().parent)


def build(text: str, file: str, variables: Mapping[str, str | None], folder: Path) -> Receiver:
    """Return the app that ``text`` declares.

    Parameters:
        text: the contents of the file.
        file: its name, for errors.
        variables: the environment.
        folder: the base of relative paths in it.

    Raises:
        ConfigurationError: as for `load_file`.
    """
    document = _parsed(text, file)
    problems = Problems(file, line_numbers.key_lines(text))
    defined = document.get("define", {})
    if not isinstance(defined, dict):
        problems.add(("define",), "definitions are tables, as in [define.office]")
        defined = {}
    objects = ObjectFactory(problems, variables, folder, defined)
    try:
        objects.define_all()
        app = _Builder(problems, objects).app(document)
    except RecursionError:  # of definitions, each of which uses the next
        raise ConfigurationError([(f"{file}:1", _DEEP)]) from None
    if problems.notes:
        raise ConfigurationError(problems.all())
    built: Receiver = app
    return built


def _parsed(text: str, file: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"line ([0-9]+)", str(error))
        number = int(at[1]) if at else len(text.splitlines()) or 1
        problem = without_keys(re.sub(r" \(at .*\)$", "", str(error)))
        raise ConfigurationError([(f"{file}:{number}", f"not valid TOML: {problem}")]) from None
    except RecursionError:
        raise ConfigurationError([(f"{file}:1", _DEEP)]) from None
    except ValueError:  # the interpreter's limit on digits, an error without a line
        raise ConfigurationError([(f"{file}:1", "an integer in it has too many digits")]) from None


class _Builder:
    """Makes the declarations of one file."""

    def __init__(self, problems: Problems, objects: ObjectFactory) -> None:
        self._problems = problems
        self._fields = objects.reader.fields

    def app(self, document: dict[str, Any]) -> Any:
        """Return the app, `INVALID` if there is a problem."""
        makers = {"ivr": self._ivr, "announcement": self._announcement, "events": self._events}
        options = self._fields(APP, document, (), elsewhere=(*makers, "define"))
        parts = [
            make(table, path)
            for key, make in makers.items()
            for table, path in self._tables(document, key, ())
        ]
        if not document.get("ivr"):
            self._problems.add((), 'there is no [[ivr]]: add one with number = "8000"')
        if self._problems.notes:
            return INVALID
        try:
            return Receiver(*parts, **options)
        except DeclarationError as error:
            return self._problems.add((), error.problem, where=error.where)

    def _ivr(self, table: dict[str, Any], path: line_numbers.Path) -> Any:
        options = self._fields(IVR, table, path, elsewhere=KINDS)
        ivr = INVALID
        if options is not INVALID:
            with declared_at(self._problems.where(path)):
                ivr = self._declared(path, Ivr, options.pop("number"), **options)
        actions = [
            (kind, row, at)
            for key, kind in KINDS.items()
            for row, at in self._tables(table, key, path)
        ]
        # Actions keep the order of the file, as in Python.
        for kind, row, at in sorted(actions, key=lambda one: self._problems.line(one[2])):
            self._action(ivr, kind, row, at)
        return ivr

    def _announcement(self, table: dict[str, Any], path: line_numbers.Path) -> Any:
        options = self._fields(ANNOUNCEMENT, table, path)
        if options is INVALID:
            return INVALID
        with declared_at(self._problems.where(path)):
            return self._declared(path, Announcement, **options)

    def _events(self, table: dict[str, Any], path: line_numbers.Path) -> Any:
        options = self._fields(EVENTS, table, path, elsewhere=EVENT_KINDS)
        events = INVALID
        if options is not INVALID:
            with declared_at(self._problems.where(path)):
                events = self._declared(path, Events, **options)
        for kind in EVENT_KINDS:
            for row, at in self._tables(table, kind, path):
                options = self._fields(EVENT_ACTION, row, at)
                if INVALID not in (events, options):
                    name = options.get("name") or _name(row["then"])
                    with declared_at(self._problems.where(at)):
                        self._declared(at, events.add, kind, options["then"], name=name)
        return events

    def _action(self, ivr: Any, kind: Kind, row: dict[str, Any], path: line_numbers.Path) -> None:
        options = self._fields(ACTION, row, path)
        mask = row.get("mask", "")
        written = mask if isinstance(mask, str) else ""
        if written and self._declared(path, declared_mask, kind, written) is INVALID:
            return
        if options is INVALID:
            return
        then = options.pop("then")
        mask = options.pop("mask", None) or getattr(then, "mask", None)
        options.setdefault("name", _name(row["then"]))
        if not isinstance(mask, str):
            self._problems.add(path, 'mask is missing; it must be a string such as "1;2;1000-1999"')
        elif not options["name"]:
            self._problems.add(
                path, "name is missing; it must be a string that identifies the action on the PBX"
            )
        elif ivr is not INVALID:
            handler = handler_of(then, "then") if isinstance(then, str) or is_reply(then) else then
            with declared_at(self._problems.where(path)):
                self._declared(path, ivr.add, kind, mask, handler, **options)

    def _declared(
        self, path: line_numbers.Path, function: Callable[..., Any], *args: Any, **options: Any
    ) -> Any:
        try:
            return function(*args, **options)
        except MaskError as error:
            return self._problems.add((*path, "mask"), error.problem)
        except DeclarationError as error:
            return self._problems.add(path, error.problem)

    def _tables(
        self, table: dict[str, Any], key: str, path: line_numbers.Path
    ) -> Iterator[tuple[dict[str, Any], line_numbers.Path]]:
        """Yield the entries of a list of tables with their paths."""
        rows = table.get(key, [])
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            header = ".".join(part for part in (*path, key) if isinstance(part, str))
            problem = f"write each entry as [[{header}]], with two brackets, before its own tables"
            self._problems.add((*path, key), problem)
            return
        yield from ((row, (*path, key, number)) for number, row in enumerate(rows))


def _name(then: Any) -> str:
    """Return the default name of an action: that of its handler."""
    if not isinstance(then, dict):
        return ""
    return str(then.get("handler") or then.get("use") or "").replace(".", "-")
