"""The lines of ``receiver check``."""

from __future__ import annotations

from receiver import Call, Forward, Hangup, Ivr, Receiver, Reply
from receiver.cli.check import describe


async def pick(call: Call) -> Reply:
    return Hangup()


def test_each_line_has_the_fallback_that_counts() -> None:
    own, plain = Ivr("8000", fallback=Forward("1")), Ivr("8100")
    own.add("DTMF", "1", pick, name="own", fallback=Forward("2"))
    own.add("DTMF", "2", pick, name="ivr")
    plain.add("DTMF", "1", pick, name="app")
    plain.add("DTMF", "2", pick, name="function", fallback=lambda call: Hangup())
    app = Receiver(own, plain, fallback=Hangup())
    ends = [line.partition("fallback ")[2] for line in describe(app, app.fallbacks)]
    assert ends == ["2", "1", "hang up", "a function"]
