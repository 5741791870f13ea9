"""What a call shows of itself."""

from receiver.calls import Call, veil


def test_a_call_does_not_print_who_called_and_what_was_keyed_in() -> None:
    call = Call(caller="101", caller_name="Jason", ivr="888", digits="22", session_id="12345678")
    assert repr(call) == "Call(ivr='888', session_id='12345678', caller=<3>, digits=<2>)"
    assert veil("") == "<none>"
