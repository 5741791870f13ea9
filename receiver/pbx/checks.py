"""Strict on the way out: what a person or a program wants to send, checked before it is sent.

Rule 1: every problem is found at once, and names the field as it is on the wire, with dots:
        ``timeout_forward_rule.number``.
Rule 2: no text repeats a value that may be secret.
Rule 3: an update is judged by what it makes worse: what was on the PBX before may stay.

Source: the limits of `receiver.pbx.fields`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Set
from difflib import get_close_matches
from typing import Any, TypeVar

import msgspec

from receiver.errors import DeclarationError
from receiver.pbx.fields import Model, Shape, is_blank, leaf_problem, shapes
from receiver.pbx.models import read, without_masked, write
from receiver.secrets import Secret

M = TypeVar("M", bound=Model)

_WRONG = re.compile(r"Expected `(\w+)(?: \| null)?`.* - at `\$\.?(.*)`")
_KINDS = {"int": "a whole number", "bool": "true or false", "str": "text", "array": "a list"}
_SAME = str.maketrans("‐‑‒–—―−,", "-------;", " ")


def problems(item: Model, *, creating: bool = False, at: str = "") -> tuple[str, ...]:
    """Everything that the PBX would not accept about ``item``.

    Parameters:
        creating: True wants what a create needs.
        at: where ``item`` stands, with a dot at its end.
    """
    found: list[str] = []
    for key, shape in shapes(type(item)).items():
        value, here = getattr(item, shape.name), f"{at}{key}"
        if is_blank(value):
            if creating and shape.spec.required:
                found.append(f"{here} is missing")
        elif shape.kind == "object":
            found += problems(value, creating=True, at=f"{here}.")
        elif shape.kind == "list":
            found += _problems_of_list(shape, value, here)
        elif shape.spec.use != "read" and (problem := leaf_problem(shape, value)):
            found.append(f"{here} {problem}")
    return (*found, *(f"{at}{text}" for text in item.conflicts(creating)))


def refuse(what: str, found: Iterable[str]) -> None:
    """Nothing, if nothing was found.

    Raises:
        DeclarationError: something was.
    """
    if texts := "; ".join(found):
        raise DeclarationError(f"{what}: {texts}")


def parse(model: type[M], data: Mapping[str, Any]) -> M:
    """``data`` as a ``model``, with every key known and every value of the right type.

    Raises:
        DeclarationError: it does not fit; the text names the key and those nearest to it.
    """
    refuse("this cannot be sent", _strangers(model, data, ""))
    try:
        return msgspec.convert(_objects(model, data), model, strict=False, dec_hook=_secret)
    except msgspec.ValidationError as error:
        raise DeclarationError(_WRONG.sub(_in_words, str(error))) from None


def changes(model: type[M], wanted: M | Mapping[str, Any]) -> dict[str, Any]:
    """What an update shall change, as JSON: what a model says, or just the keys of a mapping.

    Raises:
        DeclarationError: see `parse`; or the PBX alone sets one of the keys.
    """
    if isinstance(wanted, Model):
        return write(wanted)
    readonly = [key for key in wanted if (s := shapes(model).get(key)) and s.spec.use == "read"]
    refuse("this cannot be sent", (f"{key} is set by the PBX itself" for key in readonly))
    typed = write(parse(model, wanted))
    return {key: typed[key] for key in wanted if key in typed}


def overlay(before: M, change: Mapping[str, Any], clear: Iterable[str] = ()) -> M:
    """``before`` with ``change`` laid over it: objects key by key, lists as a whole.

    Secrets that the PBX gave masked are left out, so that the mask is not sent as the secret.
    """
    emptied = frozenset(clear)
    base = {key: text for key, text in write(without_masked(before)).items() if key not in emptied}
    return read(type(before), _merged(base, change))


def refuse_clearing(model: type[Model], clear: Iterable[str]) -> None:
    """Nothing, if each of the fields can be emptied.

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
    """Nothing, if ``change`` leaves alone what only a create can set.

    Raises:
        DeclarationError: it does not.
    """
    fixed = {
        key: shape for key, shape in shapes(type(before)).items() if shape.spec.use == "create"
    }
    moved = [key for key in change if key in fixed and change[key] != getattr(before, key)]
    refuse("this cannot be changed, only chosen when it is created", moved)


def not_taken(after: Model, change: Mapping[str, Any], clear: Iterable[str] = ()) -> list[str]:
    """The keys of ``change`` that are not so ``after``; with the version that brought them."""
    found, known = write(after), shapes(type(after))
    visible = {
        key: value
        for key, value in change.items()
        if known[key].kind != "secret" and known[key].spec.use != "write"
    }
    lost = [key for key, value in visible.items() if not covers(found.get(key), value)]
    lost += [key for key in clear if found.get(key)]
    since = {key: known[key].spec.since for key in lost}
    return [f"{key} (since {since[key]})" if since[key] else key for key in lost]


def covers(found: object, sent: object) -> bool:
    """Whether ``found`` says at least what ``sent`` says, however the PBX writes it."""
    if isinstance(sent, Mapping):
        known = found if isinstance(found, Mapping) else {}
        return all(covers(known.get(key), value) for key, value in sent.items())
    if isinstance(sent, list):
        items = found if isinstance(found, list) else []
        return len(items) == len(sent) and all(map(covers, items, sent))
    if isinstance(sent, str) and isinstance(found, str):
        return found.translate(_SAME) == sent.translate(_SAME)
    return found == sent


def nearest(word: str, known: Iterable[str]) -> str:
    """Those of ``known`` that ``word`` may mean, in words; all of them if none is near."""
    names = sorted(known)
    near = get_close_matches(word, names, n=3, cutoff=0.6)
    return f"is {' or '.join(near)} meant?" if near else f"there are {', '.join(names)}"


def _problems_of_list(shape: Shape, items: Iterable[Any], at: str) -> list[str]:
    found: list[str] = []
    for number, item in enumerate(items):
        if not shape.spec.as_ids:
            found += problems(item, creating=True, at=f"{at}[{number}].")
        elif not item.id:
            found.append(f"{at}[{number}].id is missing")
    return found


def _strangers(model: type[Model], data: Mapping[str, Any], at: str) -> list[str]:
    """A text for each key of ``data`` that the model does not have, at any depth."""
    known, found = shapes(model), []
    for key, value in data.items():
        shape = known.get(key)
        if shape is None:
            found.append(f"there is no field {at}{key}: {nearest(str(key), known)}")
        elif shape.model is not None:
            items = enumerate(value) if isinstance(value, list) else [(None, value)]
            for number, item in items:
                here = f"{at}{key}." if number is None else f"{at}{key}[{number}]."
                if isinstance(item, Mapping):
                    found += _strangers(shape.model, item, here)
    return found


def _objects(model: type[Model], data: Mapping[str, Any]) -> dict[str, Any]:
    """``data`` without nulls, and with ids as objects where the model has objects."""
    known = shapes(model)
    return {key: _object(known[key], value) for key, value in data.items() if value is not None}


def _object(shape: Shape, value: Any) -> Any:
    if shape.model is None:
        return value
    if isinstance(value, list):
        return [
            {"id": item} if shape.spec.as_ids and isinstance(item, str) else _object(shape, item)
            for item in value
        ]
    return _objects(shape.model, value) if isinstance(value, Mapping) else value


def _merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in change.items():
        there = base.get(key)
        if isinstance(value, Mapping) and isinstance(there, Mapping):
            merged[key] = _merged(there, value)
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
    """The secrets that were there before an update of ``touched``, and are not there after it."""
    return [
        shape.name
        for shape in shapes(type(before)).values()
        if shape.kind == "secret" and shape.name not in touched
        if getattr(before, shape.name) and not getattr(after, shape.name)
    ]
