"""Spoken prompts and announcements on the page of ``receiver dev``: heard, or at least read."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from receiver import Announcement, Call, Forward, Ivr, Receiver, Reply, Speech
from receiver.credentials import Secret
from receiver.dev.child import declarations
from receiver.dev.messages import Ready
from receiver.dev.simulated_pbxs import SimulatedPbxs
from receiver.errors import SettingsError
from receiver.settings import Settings
from receiver.simulator.hours import LocalTime
from tests.dev.dev_process import Dev
from tests.recordings import Speaker, script, wav

SECRET = Secret("6d0f2c9ab17e4583f4c8d25e90ab3716")
MONDAY = LocalTime(2026, 11, 23, 10, 0, 0)
WELCOME = Speech("Welcome to\n  Acme.")

APP = """
from receiver import Announcement, Call, Forward, Ivr, Receiver, Reply, Speech

sales = Ivr("8000", name="Sales", prompt=Speech("Welcome to Acme."))
late = Announcement("8801", Speech("We are closed."), then="222")

@sales.dtmf("1")
async def pick(call: Call) -> Reply:
    return Forward(late)

app = Receiver(sales, late)
"""


async def answer(call: Call) -> Reply:
    return Forward("222")


def ready(prompt: Speech = WELCOME) -> Ready:
    sales = Ivr("8000", name="Sales", prompt=prompt)
    sales.add("DTMF", "1", answer, name="pick")
    closed = Announcement("8801", Speech("We are closed."), then="222")
    return declarations(Receiver(sales, closed, settings=Settings(secret=SECRET)), "app:app")


def sites(speak: Any = None) -> SimulatedPbxs:
    return SimulatedPbxs("http://127.0.0.1:4321", SECRET, speak)


async def prompt(made: SimulatedPbxs) -> tuple[str, bytes | None]:
    """The text and the audio of the first IVR."""
    shown = made.ivrs_json(MONDAY)[0]["prompt"]
    audio = shown["audio"] and await made.audio(shown["audio"].removeprefix("audio/"))
    return shown["text"], audio and audio.data


async def test_the_page_plays_the_recording_and_shows_the_text() -> None:
    speaker = Speaker()
    async with sites(speaker) as made:
        changes = await made.register(ready())
        assert await prompt(made) == ("Welcome to Acme.", Speaker()(WELCOME))
        assert [one for one in changes if "Warning: the page shows" in one] == []
        assert await made.register(ready()) == ()  # a reload changes nothing
        other = Speech("Welcome back.")
        [change] = await made.register(ready(other))
        assert change.startswith("~ IVR 8000: prompt: ")
        assert await prompt(made) == ("Welcome back.", Speaker()(other))


async def test_without_a_synthesizer_the_page_shows_the_text_and_says_why() -> None:
    def missing(speech: Speech) -> bytes:
        raise SettingsError("no synthesizer: install espeak-ng")

    for speak, why in ((missing, "install espeak-ng"), (None, "no synthesizer is used")):
        async with sites(speak) as made:
            changes = await made.register(ready())
            assert await prompt(made) == ("Welcome to Acme.", None)
            warnings = [one for one in changes if one.startswith("Warning: the page shows the")]
            assert [why in one for one in warnings] == [True, True]
            assert "IVR 8000" in warnings[0]


async def test_a_call_hears_an_announcement_and_goes_on(tmp_path: Path) -> None:
    body = f"Path(sys.argv[1]).write_bytes({wav([7] * 1600)!r})\n"
    (tmp_path / "app.py").write_text(APP)
    settings = {
        "RECEIVER_VOICE_COMMAND": f"{script(tmp_path, body)} {{out}}",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }

    def phone() -> None:
        dev = Dev(tmp_path, **settings)
        try:
            dev.until_service("running")
            key = dev.post("phone/dial", {"ivr": "8000", "caller": "101"})["call"]
            dev.until_call(key, state="prompt")
            welcome = dev.call(key)["now"]["prompt"]
            assert welcome["text"] == "Welcome to Acme."
            assert dev.browser.get(welcome["audio"]).content[:44] == wav([7] * 1664)[:44]
            dev.post(f"phone/{key}/key", {"key": "1"})
            now = dev.until(
                lambda e: e["type"] == "now" and e["now"]["prompt"]["text"] == "We are closed."
            )["now"]
            assert dev.browser.get(now["prompt"]["audio"]).content[:4] == b"RIFF"
            call = dev.ended(key)
            assert call["end"]["text"] == "forwarded to 222"
            steps = [(one["type"], one["text"]) for one in call["steps"]]
            assert ("announcement", "the announcement 8801 plays: Announcement 8801") in steps
            assert steps[-1] == ("forward", "forwarded to 222")
        finally:
            dev.stop()

    await asyncio.to_thread(phone)
