"""Jobs as signed text: what can be encoded, and which text is refused."""

from __future__ import annotations

import functools
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.background.job_codec import (
    MAX_BODY_LENGTH,
    MAX_DECLARED_LENGTH,
    BodyError,
    Work,
    arguments_in,
    name_in,
    name_of,
    read,
    write,
)
from receiver.background.runner import backoff

SEAL = b"seal"
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def anything(*args: Any, **kwargs: Any) -> None:
    """Takes all."""


def save(number: str, *, idempotency_key: str = "") -> None:
    """Takes its key."""


class Api:
    @classmethod
    def post(cls, number: str) -> None:
        """A job that can be found."""

    def get(self) -> None:
        """A job that cannot be found."""


@given(st.lists(VALUES, max_size=3), st.dictionaries(st.text(), VALUES, max_size=3))
def test_a_decoded_job_equals_the_encoded_one(
    args: list[object], kwargs: dict[str, object]
) -> None:
    body = write(SEAL, "k", Work(anything, args, kwargs))
    assert read(SEAL, "k", body) == Work(anything, args, kwargs)
    assert body.isascii()


def test_the_key_is_passed_to_functions_that_take_it() -> None:
    assert read(SEAL, "k", write(SEAL, "k", Work(save, ["1"], {}))).kwargs == {
        "idempotency_key": "k"
    }
    assert read(SEAL, "k", write(SEAL, "k", Work(Api.post, ["1"], {}))).kwargs == {}


def test_a_body_names_its_function() -> None:
    assert name_in(write(SEAL, "k", Work(save, ["777"], {}))) == name_of(save)
    assert [name_in(body) for body in ("", "x" * 64 + "[]", "x" * 64 + "5")] == ["?"] * 3


@functools.wraps(anything)
def _renamed() -> None:
    """A job with the name of another one."""


@pytest.mark.parametrize(
    "function",
    [lambda: None, Api().get, functools.partial(save, "777"), _renamed],
    ids=["lambda", "bound", "partial", "renamed"],
)
def test_functions_that_cannot_be_imported_are_refused(function: Any) -> None:
    with pytest.raises(TypeError, match=r"import") as caught:
        write(SEAL, "k", Work(function, [], {}))
    assert "777" not in str(caught.value)


@pytest.mark.parametrize("value", [("777",), {"777"}, b"777", {7: "777"}, [[object()]], True + 0j])
def test_values_that_json_lacks_are_refused(value: object) -> None:
    with pytest.raises(TypeError, match=r"argument (2|'x') of .*:anything h") as caught:
        write(SEAL, "k", Work(anything, [1, value], {}))
    assert "777" not in str(caught.value)
    with pytest.raises(TypeError, match=r"argument 'x' of .*:anything h"):
        write(SEAL, "k", Work(anything, [1], {"x": value}))


@pytest.mark.parametrize("value", [math.nan, math.inf, "7" * MAX_BODY_LENGTH])
def test_infinite_and_long_values_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"anything") as caught:
        write(SEAL, "k", Work(anything, [value], {}))
    assert "777" not in str(caught.value)


def test_a_list_that_contains_itself_is_refused() -> None:
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(ValueError, match=r"nested"):
        write(SEAL, "k", Work(anything, [endless], {}))


def test_arguments_that_the_function_does_not_take_are_refused() -> None:
    for args, kwargs in (([], {}), (["777", "777"], {}), (["777"], {"x": "777"})):
        with pytest.raises(TypeError, match=r":save: ") as caught:
            write(SEAL, "k", Work(save, args, kwargs))
        assert "777" not in str(caught.value)


def test_a_body_with_a_wrong_signature_is_refused() -> None:
    body = write(SEAL, "k", Work(save, ["1"], {}))
    forged = body[:64] + json.dumps(["os:system", ["true"], {}])
    for seal, key, text in ((b"other", "k", body), (SEAL, "other", body), (SEAL, "k", forged)):
        with pytest.raises(BodyError, match=r"^not signed"):
            read(seal, key, text)
    for text in ("", "x", "ü" * 80):
        with pytest.raises(BodyError, match=r"^not signed"):
            read(SEAL, "k", text)


def test_a_function_that_no_longer_exists_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    body = write(SEAL, "k", Work(save, ["1"], {}))
    monkeypatch.delitem(globals(), "save")
    with pytest.raises(BodyError, match=r"^there is no .*:save$"):
        read(SEAL, "k", body)


def test_the_backoff_grows_up_to_its_limit() -> None:
    waits = [[backoff(tries, 1, 60) for _ in range(50)] for tries in (1, 2, 5, 10, 100)]
    for all, whole in zip(waits, (1, 2, 16, 60, 60), strict=True):
        assert all == [w for w in all if whole / 2 <= w <= whole]
        assert len(set(all)) > 1


@pytest.mark.parametrize("sensitive", [False, True])
def test_a_job_of_a_sensitive_action_stays_sensitive(sensitive: bool) -> None:
    body = write(SEAL, "k", Work(save, ["1"], {}, sensitive=sensitive))
    assert read(SEAL, "k", body).sensitive is sensitive
    assert arguments_in(body) == (["1"], {})


def test_a_declared_function_needs_no_module_and_may_have_longer_arguments() -> None:
    def inner(text: str) -> None:
        """A job that is not at the top of a module."""

    declared, work = {name_of(inner): inner}, Work(inner, ("x" * (MAX_BODY_LENGTH + 1),), {})
    body = write(SEAL, "key", work, declared)
    found = read(SEAL, "key", body, declared)
    assert found.function is inner
    assert list(found.args) == list(work.args)
    with pytest.raises(BodyError, match="there is no "):
        read(SEAL, "key", body)
    with pytest.raises(TypeError, match="another process can import"):
        write(SEAL, "key", work)
    with pytest.raises(ValueError, match=f"longer than {MAX_DECLARED_LENGTH}"):
        write(SEAL, "key", Work(inner, ("x" * MAX_DECLARED_LENGTH,), {}), declared)
