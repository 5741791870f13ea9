"""One function with every authentication scheme of the PBX, by GET and by POST.

Try it::

    receiver plan examples/02_four_modes.py:app
"""

from receiver import Call, Forward, Ivr, Receiver, Reply

ivr = Ivr("888")


async def connect(call: Call) -> Reply:
    return Forward("222")


ivr.add("DTMF", "10", connect, name="bearer-get", method="GET")
ivr.add("DTMF", "11", connect, name="bearer-post")
ivr.add("DTMF", "20", connect, name="basic-get", method="GET", auth="basic")
ivr.add("DTMF", "21", connect, name="basic-post", auth="basic")
ivr.add("DTMF", "30", connect, name="digest-get", method="GET", auth="digest")
ivr.add("DTMF", "31", connect, name="digest-post", auth="digest")
ivr.add("DTMF", "40", connect, name="open-get", method="GET", auth=None)
ivr.add("DTMF", "41", connect, name="open-post", auth=None)

app = Receiver(ivr)
