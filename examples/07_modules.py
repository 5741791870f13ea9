"""Several IVRs in one app: each could be in a separate module, and none imports the app.

Try it::

    receiver dial examples/07_modules.py:app 8100 --press 5
"""

from receiver import Call, Forward, Hangup, Ivr, Receiver, Reply

sales = Ivr("8000")
support = Ivr("8100")


@sales.dtmf("1-4")
async def sell(call: Call) -> Reply:
    return Forward("20" + call.digits)


@support.dtmf("1-4", name="help")
async def advise(call: Call) -> Reply:
    return Forward("30" + call.digits)


@support.dtmf("5")
async def bye(call: Call) -> Reply:
    return Hangup()


app = Receiver(sales, support)
