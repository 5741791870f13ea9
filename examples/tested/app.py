"""An app with tests: in Python (test_sales.py), and for those who write none (sales.calls.toml).

Run them in this folder, with ``pip install pytest pytest-asyncio``::

    pytest
    receiver scenario sales.calls.toml app:app
    receiver load app:app 8000 --press 1 --rate 50 --for 3
"""

from receiver import Call, Forward, Hangup, Ivr, Receiver, Repeat, Reply

sales = Ivr("8000")


@sales.dtmf("1;2", fallback=Forward("0"))
async def pick(call: Call) -> Reply:
    return Forward("222") if call.digits == "1" else Repeat()


@sales.caller("+4930*******", auth="digest")
async def unwanted(call: Call) -> Reply:
    return Hangup()


app = Receiver(sales)
