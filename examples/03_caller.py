"""Route by the caller's number before the prompt plays: the CALLER kind of action URL.

Try it::

    receiver dial examples/03_caller.py:app 8000 --from 101
"""

from receiver import Call, Forward, Hangup, Ivr, Receiver, Repeat, Reply

reception = Ivr("8000")


@reception.caller("100-199")
async def colleague(call: Call) -> Reply:
    return Forward("300")


@reception.caller("+1900*******")
async def premium(call: Call) -> Reply:
    return Hangup()


@reception.dtmf("*")
async def guest(call: Call) -> Reply:
    return Forward("8001") if call.digits == "1" else Repeat()


app = Receiver(reception)
