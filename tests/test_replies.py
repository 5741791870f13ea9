"""The three answers on the wire and back."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.errors import CallbackError, ReplyError
from receiver.replies import Forward, Hangup, Repeat, Reply, decode, encode

destinations = st.from_regex(r"\+?[0-9*#]{1,64}", fullmatch=True)
replies = st.one_of(st.builds(Forward, destinations), st.just(Hangup()), st.just(Repeat()))


def test_goes_on_the_wire_as_documented() -> None:
    assert encode(Forward("222")) == b'{"status_code":200,"action":"call","destination":"222"}'
    assert encode(Hangup()) == b'{"status_code":200,"action":"hangup","destination":""}'
    assert encode(Repeat()) == b'{"status_code":200,"action":"repeat","destination":""}'


@given(replies)
def test_comes_back_as_it_went(reply: Reply) -> None:
    assert decode(encode(reply)) == reply
    assert json.loads(encode(reply))["status_code"] == 200


@pytest.mark.parametrize(
    "destination",
    ["", "not a number!", "+", "1" * 65, "++1", "1\n", "12a", " 12", "٣"],
)
def test_a_destination_is_checked_when_it_is_made(destination: str) -> None:
    with pytest.raises(ReplyError, match="cannot be dialled") as caught:
        Forward(destination)
    assert len(destination) < 3 or destination not in str(caught.value)


def test_a_destination_is_a_string() -> None:
    with pytest.raises(ReplyError, match="not int"):
        Forward(222)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"action":"hangup"}', "status_code"),
        (b'{"status_code":500,"action":"hangup"}', "status_code"),
        (b'{"status_code":200,"action":"HANGUP"}', "action"),
        (b'{"status_code":200,"action":"call"}', "destination"),
        (b'{"status_code":200,"action":"call","destination":222}', "destination"),
    ],
)
def test_a_wrong_answer_says_why(body: bytes, problem: str) -> None:
    with pytest.raises(CallbackError, match=problem):
        decode(body)


def test_labels_name_where_the_call_goes() -> None:
    assert [one.words for one in (Forward("222"), Hangup(), Repeat())] == [
        "222",
        "hang up",
        "repeat",
    ]
