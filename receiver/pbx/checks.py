"""Checks of requests before they are sent, and of their effect afterwards.

Rule 1: all problems are reported at once, each with the JSON path of its field:
        ``timeout_forward_rule.number``.
Rule 2: no text repeats a value that may be secret.
Rule 3: an update is refused only for problems that it adds; existing ones may stay.

Source: the limits of `receiver.pbx.fields`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from difflib import get_close_matches
from typing import Any, TypeVar

import msgspec

from receiver.credentials import Secret
from receiver.errors import DeclarationError, PbxInvalid
from receiver.pbx.fields import Model, Shape, is_blank, leaf_problem, shapes
from receiver.pbx.models import read, without_masked, write

M = TypeVar("M", bound=Model)

_WRONG = re.compile(r"Expected `(\w+)(?: \| null)?`.* - at `\$\.?(.*)`")
_KINDS = {"int": "a whole number", "bool": "true or false", "str": "text", "array": "a list"}
_SAME = str.maketrans("‐‑‒–—―−,", "-------;", " ")


def problems(item: Model, *, creating: bool = False, at: str = "") -> tuple[str, ...]:
    """Return the problems for which the PBX would refuse ``item``.

    Parameters:
        creating: whether the fields that a create needs are required.
        at: the path of ``item``, with a dot at its end.
    """
    texts: list[str] = []
    for key, shape in shapes(type(item)).items():
        value, here = getattr(item, shape.name), f"{at}{key}"
        if is_blank(value):
            if creating and shape.spec.required:
                texts.append(f"{here} is missing")
        elif shape.kind == "object":
            texts += problems(value, creating=True, at=f"{here}.")
        elif shape.kind == "list":
            texts += _problems_of_list(shape, value, here)
        elif shape.spec.use != "read" and (problem := leaf_problem(shape, value)):
            texts.append(f"{here} {problem}")
    return (*texts, *(f"{at}{text}" for text in item.conflicts(creating)))


def unavailable(item: Model, version: str, at: str = "") -> Iterator[str]:
    """Yield the fields of ``item`` that a PBX of the release does not have, with their release.

    Parameters:
        version: such as ``"22.2"``; empty for an unknown one, which has all of them.
        at: the path of ``item``, with a dot at its end.
    """
    for key, shape in shapes(type(item)).items():
        value = getattr(item, shape.name)
        if is_blank(value):
            continue
        if not shape.spec.available(version):
            yield f"{at}{key} (since {shape.spec.since})"
        elif shape.kind == "object":
            yield from unavailable(value, version, f"{at}{key}.")
        elif shape.kind == "list":
            for number, one in enumerate(value):
                yield from unavailable(one, version, f"{at}{key}[{number}].")


def refuse(what: str, texts: Iterable[str]) -> None:
    """Raise an error with all problems in ``texts``, if there are any.

    Raises:
        DeclarationError: there are problems.
    """
    if problem := "; ".join(texts):
        raise DeclarationError(f"{what}: {problem}")


def parse(model: type[M], data: Mapping[str, Any]) -> M:
    """Return ``data`` as a ``model``; all keys must be known, all values of the right type.

    Raises:
        DeclarationError: a key is unknown or a value has the wrong type; the text suggests keys.
    """
    refuse("invalid request", _unknown_keys(model, data, ""))
    try:
        return msgspec.convert(_objects(model, data), model, strict=False, dec_hook=_secret)
    except msgspec.ValidationError as error:
        raise DeclarationError(_WRONG.sub(_in_words, str(error))) from None


def changes(model: type[M], wanted: M | Mapping[str, Any]) -> dict[str, Any]:
    """Return the changes of an update as JSON: the fields of a model, or the keys of a mapping.

    Raises:
        DeclarationError: see `parse`; or only the PBX sets one of the keys.
    """
    if isinstance(wanted, Model):
        return write(wanted)
    readonly = [key for key in wanted if (s := shapes(model).get(key)) and s.spec.use == "read"]
    refuse("invalid request", (f"{key} is set by the PBX itself" for key in readonly))
    typed = write(parse(model, wanted))
    return {key: typed[key] for key in wanted if key in typed}


def overlay(before: M, change: Mapping[str, Any], clear: Iterable[str] = ()) -> M:
    """Return ``before`` with ``change`` merged into it: objects key by key, lists as a whole.

    Secrets that the PBX masked are left out, so that the mask is not sent as the secret.
    """
    emptied = frozenset(clear)
    base = {key: text for key, text in write(without_masked(before)).items() if key not in emptied}
    return read(type(before), _merged(base, change))


def refuse_clearing(model: type[Model], clear: Iterable[str]) -> None:
    """Raise an error if one of the fields cannot be emptied.

    Raises:
        DeclarationError: one cannot.
    """
    known = shapes(model)
    texts = {key for key, shape in known.items() if shape.kind in ("text", "secret", "list")}
    refuse(
        "this cannot be emptied",
        (key for key in clear if key not in texts or known[key].spec.required),
    )


def refuse_fixed(before: Model, change: Mapping[str, Any]) -> None:
    """Raise an error if ``change`` changes a field that only a create can set.

    Raises:
        DeclarationError: it does.
    """
    fixed = {
        key: shape for key, shape in shapes(type(before)).items() if shape.spec.use == "create"
    }
    moved = [key for key in change if key in fixed and change[key] != getattr(before, key)]
    refuse("this can only be set when it is created", moved)


def not_taken(after: Model, change: Mapping[str, Any], clear: Iterable[str] = ()) -> list[str]:
    """Return the keys of ``change`` that differ in ``after``, with the release that added them."""
    stored, known = write(after), shapes(type(after))
    visible = {
        key: value
        for key, value in change.items()
        if known[key].kind != "secret" and known[key].spec.use != "write"
    }
    lost = [key for key, value in visible.items() if not covers(stored.get(key), value)]
    lost += [key for key in clear if stored.get(key)]
    since = {key: known[key].spec.since for key in lost}
    return [f"{key} (since {since[key]})" if since[key] else key for key in lost]


def confirm_taken(
    what: str, after: Model, change: Mapping[str, Any], clear: Iterable[str] = ()
) -> None:
    """Raise an error if ``after`` differs from what was sent; ``what`` describes the request.

    Raises:
        PbxInvalid: it differs; the text names the keys, and the release that added them.
    """
    if lost := not_taken(after, change, clear):
        raise PbxInvalid(
            f"{what}, but these fields differ from what was sent: {', '.join(lost)}; is the PBX "
            "older than the field?"
        )


def distinction(items: Iterable[Model], names: Sequence[str], common: str) -> str:
    """Return how to distinguish ``items`` with the same ``common``: their numbers and ids.

    Parameters:
        items: of one resource type.
        names: the keys that identify one, the id first.
        common: one of ``names``.
    """
    marks = [name for name in names[1:] if name != common]
    texts = (
        f"{getattr(item, marks[0])} (id {getattr(item, 'id', '')!r})"
        if marks
        else repr(getattr(item, "id", ""))
        for item in items
    )
    mark = marks[0].replace("_", " ") if marks else "id"
    return f"its {mark}, one of {', '.join(texts)}"


def covers(stored: object, sent: object) -> bool:
    """Return whether ``stored`` contains all of ``sent``, in any of the PBX's spellings."""
    if isinstance(sent, Mapping):
        known = stored if isinstance(stored, Mapping) else {}
        return all(covers(known.get(key), value) for key, value in sent.items())
    if isinstance(sent, list):
        items = stored if isinstance(stored, list) else []
        return len(items) == len(sent) and all(map(covers, items, sent))
    if isinstance(sent, str) and isinstance(stored, str):
        return stored.translate(_SAME).rstrip(";") == sent.translate(_SAME).rstrip(";")
    return stored == sent


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a question for those of ``known`` that are similar to ``word``, else all of them."""
    names = sorted(known)
    near = get_close_matches(word, names, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(names)}"


def _problems_of_list(shape: Shape, items: Iterable[Any], at: str) -> list[str]:
    texts: list[str] = []
    for number, item in enumerate(items):
        if not shape.spec.refers:
            texts += problems(item, creating=True, at=f"{at}[{number}].")
        elif not item.id:
            texts.append(f"{at}[{number}].id is missing")
    return texts


def _unknown_keys(model: type[Model], data: Mapping[str, Any], at: str) -> list[str]:
    """Return a text for each unknown key of ``data``, at any depth."""
    known, texts = shapes(model), []
    for key, value in data.items():
        shape = known.get(key)
        if shape is None:
            texts.append(f"there is no field {at}{key}: {nearest(str(key), known)}")
        elif shape.model is not None:
            items = enumerate(value) if isinstance(value, list) else [(None, value)]
            for number, item in items:
                here = f"{at}{key}." if number is None else f"{at}{key}[{number}]."
                if isinstance(item, Mapping):
                    texts += _unknown_keys(shape.model, item, here)
    return texts


def _objects(model: type[Model], data: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``data`` without nulls, and with ids as objects where the model has objects."""
    known = shapes(model)
    return {key: _object(known[key], value) for key, value in data.items() if value is not None}


def _object(shape: Shape, value: Any) -> Any:
    if shape.model is None:
        return value
    if isinstance(value, list):
        return [
            {"id": item} if shape.spec.refers and isinstance(item, str) else _object(shape, item)
            for item in value
        ]
    return _objects(shape.model, value) if isinstance(value, Mapping) else value


def _merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in change.items():
        current = base.get(key)
        if isinstance(value, Mapping) and isinstance(current, Mapping):
            merged[key] = _merged(current, value)
        else:
            merged[key] = value
    return merged


def _in_words(wrong: re.Match[str]) -> str:
    return f"{wrong[2]} must be {_KINDS.get(wrong[1], f'an {wrong[1]}')}"


def _secret(kind: type, value: object) -> object:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise TypeError("Expected `str`")


def dropped_secrets(before: Model, after: Model, touched: Set[str]) -> list[str]:
    """Return the secrets that an update of the fields ``touched`` has removed."""
    return [
        shape.name
        for shape in shapes(type(before)).values()
        if shape.kind == "secret" and shape.name not in touched
        if getattr(before, shape.name) and not getattr(after, shape.name)
    ]
