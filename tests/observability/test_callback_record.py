"""The log record of one callback."""

import pytest
from msgspec.structs import replace

from receiver.observability.callback_record import MAX_LENGTH, Record

MASKED = Record("8000/pick", "", "DTMF", "call", "handled", 4, 10, 8, 0.001, 0.0002, 0.5, 0.6, 2.0)
SHOWN = replace(MASKED, digits="41\n11", caller="+49\x1b[2J", session="abc")


def test_the_line_for_people() -> None:
    line = "8000/pick DTMF digits <4> from <10>: call, handled, 600 ms of 2000 ms (handler 500 ms)"
    assert str(MASKED) == line
    assert "digits <none> from <none>:" in str(replace(MASKED, digits=0, caller=""))


def test_what_is_shown_stays_on_its_line() -> None:
    assert "digits '41\\n11' from '+49\\x1b[2J':" in str(SHOWN)
    assert len(str(replace(SHOWN, digits="1" * 9999))) < MAX_LENGTH + 150


def test_programs_get_fields_of_one_type_each() -> None:
    assert MASKED.fields() == {
        "action": "8000/pick",
        "pbx": "",
        "kind": "DTMF",
        "decision": "call",
        "reason": "handled",
        "seconds_authentication": 0.001,
        "seconds_body": 0.0002,
        "seconds_handler": 0.5,
        "seconds_whole": 0.6,
        "budget": 2.0,
        "share": 0.3,
        "digits_length": 4,
        "caller_length": 10,
        "session_length": 8,
    }
    more = {name: value for name, value in SHOWN.fields().items() if name not in MASKED.fields()}
    assert more == {"digits": "41\n11", "caller": "+49\x1b[2J", "session": "abc"}
    assert SHOWN.fields()["digits_length"] == 5


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        MASKED.digits = "4111"  # type: ignore[misc]
