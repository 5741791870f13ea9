"""The first call: keys 1 and 22 lead to extensions, everything else repeats the prompt.

Try it::

    receiver dial examples/01_first.py:app 8000 --from 101 --press 22
"""

from receiver import Call, Forward, Ivr, Receiver, Repeat, Reply

sales = Ivr("8000")


@sales.dtmf("1;22;1000-1999", fallback=Forward("0"))
async def pick(call: Call) -> Reply:
    """Asked when the caller keyed in 1, 22, or a number from 1000 to 1999."""
    if call.digits in ("1", "22"):
        return Forward("222")
    return Repeat()


app = Receiver(sales)
