"""A prompt and an announcement that are texts: a synthesizer makes the recordings.

``receiver plan`` and ``receiver apply`` need a synthesizer, such as the program espeak-ng, for a
text that the PBX does not play yet. Listen first::

    receiver say "Welcome to Acme." --out welcome.wav

Try it; `receiver dev examples/25_spoken_prompt.py:app` plays the prompts in the browser::

    receiver dial examples/25_spoken_prompt.py:app 8000 --press 1
"""

from receiver import Announcement, Call, Forward, Ivr, Receiver, Reply, Speech

sales = Ivr("8000", name="Sales", prompt=Speech("Welcome to Acme. Press 1 for sales."))
late = Announcement("8801", Speech("We are closed. Your call goes to our mailbox."), then="8999")


@sales.dtmf("1", fallback=Forward("8999"))
async def pick(call: Call) -> Reply:
    """Announce where the call goes, then go there."""
    return Forward(late)


app = Receiver(sales, late)
