"""receiver/recording/upstream_answers.py: what of a CRM's answers reaches a recording."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver import Call
from receiver.recording.format import UpstreamAnswer
from receiver.recording.upstream_answers import AnswerMasker, resolved
from receiver.upstream.request_observer import UpstreamRequest
from tests.recording.recorded_actions import KEY

CALL = Call(caller="+493023125000", caller_name="Grace Hopper", ivr="8000", digits="471199")
TOKEN = "ya29.a0AfH6SMBx-Jt5kq7vQ9zN2wE"


def asked(body: bytes | None, path: str = "/people", status: int | None = 200) -> UpstreamRequest:
    return UpstreamRequest("GET", "crm.example.com", path, status, 0.1, "network", body)


def masked(
    value: object, *, call: Call = CALL, to: str = "", path: str = "/people", **options: Any
) -> UpstreamAnswer:
    body = json.dumps(value).encode()
    (answer,) = AnswerMasker(KEY, **options).mask([asked(body, path)], call, to)
    return answer


def value(given: object, **options: Any) -> Any:
    """Return the recorded part of an answer."""
    return json.loads(masked(given, **options).body)


def test_the_structure_is_kept_and_texts_are_not() -> None:
    given = {"total": 1, "results": [{"id": "51", "vip": True, "city": None, "name": "Ann Lee"}]}
    found = value(given)
    assert (found["total"], len(found["results"])) == (1, 1)
    person = found["results"][0]
    assert (person["vip"], person["city"]) == (True, None)
    assert re.fullmatch(r"\d\d", person["id"])
    assert re.fullmatch(r"[A-Z][a-z]{2} [A-Z][a-z]{2}", person["name"])
    assert person["name"] != "Ann Lee"
    assert value({"a": "Müller"})["a"][1] == "x"


def test_equal_texts_have_equal_pseudonyms_under_one_key() -> None:
    assert value("Ann Lee") == value("Ann Lee") != value("Ann Lea")
    other = AnswerMasker(b"another key").mask([asked(b'"Ann Lee"')], CALL, "")
    assert json.loads(other[0].body) != value("Ann Lee")


@pytest.mark.parametrize(
    "number",
    ["+493023125000", "+49 30 23125000", "030/2312-5000", "0049 (0)30 23125000", "23125000"],
)
def test_the_number_of_the_caller_in_any_notation_is_a_mark(number: str) -> None:
    assert value({"phone": number}) == {"phone": {"~": "caller"}}


def test_the_other_data_of_the_call_are_marks() -> None:
    assert value(["grace hopper", "471199", 471199, 493023125000]) == [
        {"~": "caller_name"},
        {"~": "digits"},
        {"~": "digits", "number": True},
        {"~": "caller", "number": True},
    ]
    short = Call(caller="101", digits="1")
    assert value(["101", "1"], call=short)[0] == {"~": "caller"}
    assert value("1", call=short) != {"~": "digits"}  # it could be any number
    assert value(["", "x"], call=Call())[0] == ""


def test_a_replay_puts_its_own_caller_there() -> None:
    body = masked(["030 23125000", "Grace Hopper", "471199", 471199, {"id": 7}]).body
    call = Call(caller="+4989123", caller_name="Ann", digits="22")
    assert json.loads(resolved(body, call)) == ["+4989123", "Ann", "22", 22, {"id": 7}]
    assert json.loads(resolved('{"~": "caller", "number": true}', Call(caller="ä"))) == 0
    assert resolved("", call) == resolved("{", call) == b""


def test_the_destination_of_the_reply_and_named_fields_are_kept() -> None:
    given = {"owner": "201", "extension": 201, "stage": "customer", "since": 2019, "note": "201a"}
    found = value(given, to="201", fields=("stage", "since"))
    assert (found["owner"], found["extension"]) == ("201", 201)
    assert (found["stage"], found["since"]) == ("customer", 2019)
    assert found["note"] != "201a"


def test_dates_stay_dates() -> None:
    given = ["1984-02-29", "2026-11-22T08:01:02.5+01:00", "2026-11-22 08:00", "2026-11"]
    assert value(given)[:3] == ["2000-01-01", "2000-01-01T00:00:00.0+00:00", "2000-01-01 00:00"]
    assert value(given)[3] != "2026-11"


def test_numbers_keep_their_form() -> None:
    found = value([0, 9, 10, -5, 123456, 12.5, 1e300])
    assert found[:2] == [0, 9]
    assert (len(str(found[2])), found[3] < 0, len(str(found[4]))) == (2, True, 6)
    assert (found[4] != 123456, found[6]) == (True, 0.5)
    assert re.fullmatch(r"\d{1,2}\.\d", str(found[5]))


@pytest.mark.parametrize("options", [{"caller_data": True}, {"fields": ("access_token", "x")}])
def test_secrets_are_never_shown(options: dict[str, Any]) -> None:
    given = {
        "access_token": "abc-123",
        "apiKey": {"x": "abc-123", "n": 471200},
        "x": f"{TOKEN}012345",
    }
    text = json.dumps(value(given, **options))
    assert "abc-123" not in text
    assert TOKEN not in text
    assert "471200" not in text


def test_with_caller_data_texts_and_numbers_are_shown() -> None:
    given = {"name": "Ann Lee", "phone": "030 23125000", "age": 42, "x": 12.5}
    assert value(given, caller_data=True) == given
    assert masked(1, path="/people/Ann/471199", caller_data=True).path == "/people/Ann/471199"
    assert masked(1, path=f"/bot{TOKEN}0123/x", caller_data=True).path == "/*/x"


@pytest.mark.parametrize("name", ["id", "@odata.type", "owner@odata.bind", "value@OData.count"])
def test_names_of_fields_are_kept(name: str) -> None:
    assert value({name: 1}) == {name: 1}


@pytest.mark.parametrize(
    "name",
    ["+493023125000", "Grace Hopper", "grace@example.com", "~", "a b", "x4711", "", "é"],
)
def test_names_of_fields_that_may_be_data_are_masked(name: str) -> None:
    ((found, inner),) = value({name: 1}).items()
    assert inner == 1
    assert found != "~"
    assert found != name or not name


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/crm/v3/objects/contacts/search", "/crm/v3/objects/contacts/search"),
        ("/services/data/v60.0/query/", "/services/data/v60.0/query/"),
        ("/people/471199/owner", "/people/*/owner"),
        ("/people/Grace/hopper", "/people/*/*"),
        ("/people/Lovelace", "/people/*"),  # the answer contains it
        ("/people/a%40example.com/51", "/people/*/*"),
    ],
)
def test_a_path_has_only_words_that_are_not_data(path: str, shown: str) -> None:
    assert masked({"name": ["Lovelace"]}, path=path).path == shown


@pytest.mark.parametrize(
    ("body", "left_out"),
    [
        (b"", False),
        (b"<a/>", True),
        (None, True),
        (b"[" * 5000 + b"]" * 5000, True),
        (b'{"a":' * 900 + b"1" + b"}" * 900, True),
        (b"[" * 102 + b"]" * 102, True),
        (b"\xff", True),
        (b"9" * 5000, True),
    ],
)
def test_a_body_that_is_not_json_is_left_out(body: bytes | None, left_out: bool) -> None:
    (answer,) = AnswerMasker(KEY).mask([asked(body)], CALL, "")
    assert (answer.body, answer.left_out) == ("", left_out)


def test_a_body_is_recorded_up_to_the_depth_limit() -> None:
    body = b"[" * 101 + b"]" * 101
    (answer,) = AnswerMasker(KEY).mask([asked(body)], CALL, "")
    assert (answer.body, answer.left_out) == (body.decode(), False)


def test_without_an_answer_nothing_is_left_out() -> None:
    late = asked(None, status=None)._replace(is_late=True, retry_after=2.0)
    (answer,) = AnswerMasker(KEY).mask([late], CALL, "")
    assert (answer.status, answer.is_late, answer.left_out) == (None, True, False)
    assert answer.retry_after == 2.0


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner),
    max_leaves=20,
)
PHRASES = st.from_regex(r"[A-Za-z]{8,12} [A-Za-z]{8,12}|[1-9][0-9]{11,17}", fullmatch=True)


@given(JSON, st.booleans())
def test_any_json_is_masked_and_resolved_to_json(given: object, shown: bool) -> None:
    answer = masked(given, caller_data=shown)
    assert answer.body.isascii()
    json.loads(resolved(answer.body, CALL))


@given(PHRASES, st.sampled_from(["text", "list", "field", "name", "number"]))
def test_no_text_of_a_caller_is_recorded(phrase: str, where: str) -> None:
    given: object = {
        "text": phrase,
        "list": [[phrase]],
        "field": {"note": f"call {phrase} back"},
        "name": {phrase: 1},
        "number": int(phrase) if phrase.isdigit() else phrase,
    }[where]
    answer = masked(given, path=f"/people/{phrase}/x")
    assert phrase not in answer.body
    assert answer.path == "/people/*/x"
