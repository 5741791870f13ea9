"""The apps and calls that tests of several commands use."""

THREE_ACTIONS = """
from receiver import Call, Forward, Ivr, Receiver, Reply

sales = Ivr("8000")

@sales.dtmf("1;22", fallback=Forward("0"))
async def pick(call: Call) -> Reply:
    return Forward("222")

@sales.dtmf("3", method="GET", auth="basic", headers={"X-Site": "hush-of-a-header"})
async def queue(call: Call) -> Reply:
    return Forward("333")

@sales.caller("100-199", auth="digest")
async def known(call: Call) -> Reply:
    return Forward("444")
"""
"""The declarations without the app."""

TWO_ACTIONS = """
from receiver import Call, Forward, Ivr, Receiver, Reply

sales = Ivr("8000")

@sales.dtmf("1")
async def pick(call: Call) -> Reply:
    return Forward("222")

@sales.dtmf("2")
async def broken(call: Call) -> Reply:
    raise ValueError("a traceback in the log")

app = Receiver(sales)
"""

WRONG_CALLS = """
[[call]]
ivr = "8000"
press = ["1"]
expect = "forward 333"
"""
"""A scenario that fails for `TWO_ACTIONS`."""
