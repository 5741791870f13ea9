"""From the text of a configuration file to the app that it declares.

Rule 1: what is made is what Python would make: the same `Ivr`, `Ivr.add` and `Receiver`, which
        check what they are given. Here is only told where it stands.
Rule 2: all problems are told at once.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from receiver.actions import Kind
from receiver.app import Receiver
from receiver.configuration import places
from receiver.configuration.document import ACTION, APP, IVR, KINDS
from receiver.configuration.parts import Parts
from receiver.configuration.problems import BAD, Problems, without_keys
from receiver.errors import ConfigurationError, DeclarationError, LoadError, MaskError
from receiver.ivrs import Ivr, declared_at
from receiver.masks import Mask
from receiver.onward import handler_of
from receiver.printable import short
from receiver.replies import Reply
from receiver.settings import environment

SUFFIX = ".toml"
"""How the name of a configuration file ends."""

_DEEP = "it is nested too deeply"


def load_file(file: str) -> Receiver:
    """The app that the file declares; variables come from the environment and ``.env``.

    Raises:
        LoadError: there is no such file, or it is no text.
        ConfigurationError: it is wrong; the text has a line for each problem.
        SettingsError: ``.env`` cannot be read.
    """
    path = Path(file)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise LoadError(f"{short(file, 300)}: {error.strerror}") from None
    except (UnicodeDecodeError, ValueError):
        raise LoadError(f"{short(file, 300)} cannot be read as text in UTF-8: save it so") from None
    return build(text, file, environment(), path.absolute().parent)


def build(text: str, file: str, variables: Mapping[str, str | None], folder: Path) -> Receiver:
    """The app that ``text`` declares.

    Parameters:
        text: all of the file.
        file: its name, for errors.
        variables: the environment.
        folder: what paths in it count from.

    Raises:
        ConfigurationError: as for `load_file`.
    """
    document = _parsed(text, file)
    problems = Problems(file, places.places(text))
    defined = document.get("define", {})
    if not isinstance(defined, dict):
        problems.add(("define",), "write what is defined as tables, as in [define.office]")
        defined = {}
    parts = Parts(problems, variables, folder, defined)
    try:
        parts.define_all()
        app = _Builder(problems, parts).app(document)
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
        wrong = without_keys(re.sub(r" \(at .*\)$", "", str(error)))
        raise ConfigurationError([(f"{file}:{number}", f"this is no TOML: {wrong}")]) from None
    except RecursionError:
        raise ConfigurationError([(f"{file}:1", _DEEP)]) from None
    except ValueError:  # Python's own limit, which says so of no line
        raise ConfigurationError([(f"{file}:1", "a number in it has too many digits")]) from None


class _Builder:
    """Makes the declarations of one file."""

    def __init__(self, problems: Problems, parts: Parts) -> None:
        self._problems = problems
        self._parts = parts
        self._fields = parts.reader.fields

    def app(self, document: dict[str, Any]) -> Any:
        """The app, `BAD` if there is a problem."""
        options = self._fields(APP, document, (), besides=("ivr", "define"))
        ivrs = [self._ivr(table, path) for table, path in self._tables(document, "ivr", ())]
        if not ivrs:
            self._problems.add((), 'there is no [[ivr]]: begin with one, and its number = "8000"')
        if self._problems.notes:
            return BAD
        try:
            return Receiver(*ivrs, **options)
        except DeclarationError as error:
            return self._problems.add((), error.problem, where=error.where)

    def _ivr(self, table: dict[str, Any], path: places.Path) -> Any:
        options = self._fields(IVR, table, path, besides=KINDS)
        ivr = BAD
        if options is not BAD:
            with declared_at(self._problems.where(path)):
                ivr = self._declared(path, Ivr, options.pop("number"), **options)
        actions = [
            (kind, row, at)
            for key, kind in KINDS.items()
            for row, at in self._tables(table, key, path)
        ]
        # As in Python, the order is that in which they are written.
        for kind, row, at in sorted(actions, key=lambda one: self._problems.line(one[2])):
            self._action(ivr, kind, row, at)
        return ivr

    def _action(self, ivr: Any, kind: Kind, row: dict[str, Any], path: places.Path) -> None:
        options = self._fields(ACTION, row, path)
        mask = row.get("mask", "")
        if isinstance(mask, str) and mask and self._declared(path, Mask.parse, mask) is BAD:
            return
        if options is BAD:
            return
        then = options.pop("then")
        mask = options.pop("mask", None) or getattr(then, "mask", None)
        options.setdefault("name", _name(row["then"]))
        if not isinstance(mask, str):
            self._problems.add(path, 'mask is missing: it is a text such as "1;2;1000-1999"')
        elif not options["name"]:
            self._problems.add(path, "name is missing: it is a text, by which the PBX knows this")
        elif ivr is not BAD:
            handler = handler_of(then, "then") if isinstance(then, Reply | str) else then
            with declared_at(self._problems.where(path)):
                self._declared(path, ivr.add, kind, mask, handler, **options)

    def _declared(
        self, path: places.Path, function: Callable[..., Any], *args: Any, **options: Any
    ) -> Any:
        try:
            return function(*args, **options)
        except MaskError as error:
            return self._problems.add((*path, "mask"), error.problem)
        except DeclarationError as error:
            return self._problems.add(path, error.problem)

    def _tables(
        self, table: dict[str, Any], key: str, path: places.Path
    ) -> Iterator[tuple[dict[str, Any], places.Path]]:
        """The entries of a list of tables, and where they are."""
        rows = table.get(key, [])
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            header = ".".join(part for part in (*path, key) if isinstance(part, str))
            self._problems.add(
                (*path, key), f"write each of them as [[{header}]], with two brackets"
            )
            return
        yield from ((row, (*path, key, number)) for number, row in enumerate(rows))


def _name(then: Any) -> str:
    """What an action is called that has no name of its own: after its handler."""
    if not isinstance(then, dict):
        return ""
    return str(then.get("handler") or then.get("use") or "").replace(".", "-")
