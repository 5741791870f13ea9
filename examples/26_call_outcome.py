"""The outcome of a call: who answered and for how long, and a call back for a missed one.

Here the call rings at 222, and the destination does not answer::

    receiver dial examples/26_call_outcome.py:app 8000 --press 1 --talk 0
"""

from receiver import Call, CallEvent, Forward, Ivr, Receiver, Reply

sales = Ivr("8000")


@sales.dtmf("1;2")
def pick(call: Call) -> Reply:
    return Forward("222" if call.digits == "1" else "333")


app = Receiver(sales)


@app.on("call_ended")
async def log_call(event: CallEvent) -> None:
    person = event.answered_by
    print(event.session_id, event.digits, person and (person.number, person.talk_duration))


@app.on("call_missed")
def call_back(event: CallEvent) -> None:
    print("call back the caller of", event.session_id, "who wanted", event.forwarded_to)
