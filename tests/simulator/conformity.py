"""Values that a fact of the contract allows or forbids, and whether an answer fits it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from receiver.simulator.behaviour import VERSIONS, Version
from tests.simulator.contract import Fact, Spec

Json = dict[str, Any]


def there(since: Version, version: Version) -> bool:
    return VERSIONS.index(since) <= VERSIONS.index(version)


def of(spec: Spec, version: Version) -> Spec:
    """The fields that a version has."""
    return {name: fact for name, fact in spec.items() if there(fact.since, version)}


def made(fact: Fact, length: int) -> Any:
    if fact.kind == "whole":
        return length
    return (fact.letter * length)[:length]


def good(fact: Fact, version: Version, known: Json) -> Iterator[Any]:
    """Values that are valid: those at the limits, and each choice."""
    yield from fact.good
    if fact.kind == "flag":
        yield from (True, False)
    elif fact.kind == "object":
        yield from objects(fact.spec, version, known)
    elif fact.kind == "list":
        yield []
        yield from ([one] for one in objects(fact.spec, version, known))
        yield list(objects(fact.spec, version, known))
    elif fact.kind == "ids":
        yield from ([], [known["holiday"]])
    elif fact.kind == "file":
        yield known["file"]
    elif not fact.good or fact.low is not None:
        yield from (made(fact, n) for n in (fact.low, fact.high) if n is not None)
        if fact.low is None:
            yield "any text"


def objects(spec: Spec, version: Version, known: Json) -> Iterator[Json]:
    """Objects with one field each, with every good value of it."""
    if "from" in spec:
        yield {name: fact.good[0] for name, fact in spec.items()}
        return
    for name, fact in of(spec, version).items():
        for value in good(fact, version, known):
            yield {name: value}


def bad(fact: Fact, version: Version) -> Iterator[Any]:
    """Values that are not valid: of another type, beyond the limits, no choice."""
    yield from fact.bad
    if not there("22.3", version):
        yield from fact.bad_until_22_2
    wrong: Json = {"text": 5, "file": 5, "whole": "5", "flag": "true", "object": [], "list": {}}
    yield wrong.get(fact.kind, "none")
    if fact.kind in ("text", "whole"):
        if fact.low:
            yield made(fact, fact.low - 1)
        elif fact.kind == "whole":
            yield -1
        if fact.high is not None:
            yield made(fact, fact.high + 1)
    if fact.kind == "file":
        yield "no such id"
    if fact.kind == "ids":
        yield from (["no such id"], [5])
    for name, inner in of(fact.spec, version).items() if fact.kind in ("object", "list") else ():
        for value in bad(inner, version):
            yield {name: value} if fact.kind == "object" else [{name: value}]


def schema(spec: Spec, version: Version) -> Json:
    """Return the JSON Schema of an answer: the fields of the version, none of them null."""
    fields = {name: _schema(fact, version) for name, fact in of(spec, version).items()}
    return {"type": "object", "properties": fields, "additionalProperties": False}


def _schema(fact: Fact, version: Version) -> Json:
    types: Json = {"text": "string", "whole": "integer", "flag": "boolean", "object": "object"}
    made: Json = {"type": types.get(fact.kind, "array")}
    if fact.kind == "object":
        return schema(fact.spec, version)
    if fact.kind in ("list", "ids"):
        return made | {"items": schema(fact.spec, version)}
    if fact.kind == "texts":
        return made | {"items": {"type": "string"}}
    names = ("minLength", "maxLength") if fact.kind == "text" else ("minimum", "maximum")
    bounds = zip(names, (fact.low, fact.high), strict=True)
    made |= {name: bound for name, bound in bounds if bound is not None and fact.kind != "flag"}
    return made | ({"enum": list(fact.good)} if "NONE" in fact.bad else {})


def conforms(value: Any, spec: Spec, version: Version, at: str, *, whole: bool = True) -> None:
    """Check an answer: exactly the fields of the version, each of its type and in its limits."""
    fields = of(spec, version)
    assert isinstance(value, dict), at
    assert value.keys() == fields.keys() if whole else value.keys() <= fields.keys(), at
    for name, found in value.items():
        if found is not None and found != "":
            fits(found, fields[name], version, f"{at}.{name}", whole=whole)


def fits(found: Any, fact: Fact, version: Version, at: str, *, whole: bool) -> None:
    types: Json = {"text": str, "whole": int, "flag": bool, "object": dict}
    assert isinstance(found, types.get(fact.kind, list)), at
    assert isinstance(found, bool) == (fact.kind == "flag"), at
    if fact.kind == "object":
        conforms(found, fact.spec, version, at, whole=whole)
    elif fact.kind in ("list", "ids"):
        for item in found:
            conforms(item, fact.spec, version, at, whole=whole)
    elif fact.kind in ("text", "whole"):
        size: int = len(found) if fact.kind == "text" else found
        assert fact.low is None or fact.low <= size, at
        assert fact.high is None or size <= fact.high, at
        assert found in fact.good or not fact.bad or "NONE" not in fact.bad, at


def holds(shown: Any, sent: Any, fact: Fact, version: Version) -> bool:
    """Whether what is shown is what was sent, defaults added and ids become objects."""
    if fact.kind == "ids":
        return bool([item["id"] for item in shown] == sent)
    if fact.kind == "list":
        pairs = zip(shown, sent, strict=True)
        return all(holds(a, b, Fact("object", spec=fact.spec), version) for a, b in pairs)
    if fact.kind == "object":
        return all(
            holds(shown.get(name), value, fact.spec[name], version) for name, value in sent.items()
        )
    same: bool = shown == sent or (sent == "" and shown is None)
    return same
