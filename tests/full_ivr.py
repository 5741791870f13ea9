"""An IVR that declares every option, and the paths of the PBX's fields."""

from __future__ import annotations

import io
import wave
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from receiver import (
    Disa,
    Forward,
    Hangup,
    Holiday,
    Ivr,
    IvrOptions,
    MenuEntry,
    OfficeHours,
    OutboundCallerId,
    Repeat,
    Voicemail,
)
from receiver.pbx.fields import Model, shapes

PIN = "135790"
OFFICE = OfficeHours(
    {
        "mon-thu": "08:30-12:30, 13:30-17:00",
        "fri": "08:30-15:00",
        "sat": "10:00-12:00",
        "sun": "14:00-16:00",
    }
)
CHRISTMAS = Holiday("Christmas", "2026-12-24 14:30 to 2027-01-06 08:15", region="DEU")
MAY = Holiday("Labour Day", "05-01", region="DEU", consecutive=False)


def record(path: Path, tone: int = 1) -> Path:
    """Write a recording that the PBX can play."""
    octets = io.BytesIO()
    with wave.open(octets, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes([tone, 0]) * 160)
    path.write_bytes(octets.getvalue())
    return path


def full_options(folder: Path) -> IvrOptions:
    """Return a value for each option of an IVR; the recordings are in ``folder``."""
    return {
        "name": "Sales",
        "language": "en-US",
        "prompt": record(folder / "welcome.wav"),
        "transfer_prompt": record(folder / "one-moment.wav", tone=2),
        "dtmf_interval": 3,
        "timeout": 8,
        "repeat_times": 2,
        "timeout_reply": Voicemail("101"),
        "failure_reply": Forward("0"),
        "night_mode": True,
        "night_reply": Forward("8999"),
        "exclude_list": ["1001-2001", "3000"],
        "menu": [
            MenuEntry(
                "1",
                Forward("222"),
                hours=OFFICE,
                closed=Voicemail("222"),
                holidays=[CHRISTMAS, MAY],
                on_holiday=Forward("8998"),
            ),
            MenuEntry("22#", Repeat(), closed=Hangup()),
            MenuEntry("9", Disa()),
        ],
        "pin": PIN,
        "enable_pin": True,
        "outbound_caller_ids": [
            OutboundCallerId(
                provider_id="NzAwNTUx",
                caller_id="+4930123456",
                description="sales calls",
                display_name="Sales",
            )
        ],
        "audio_recording": True,
    }


def full_ivr(folder: Path, number: str = "8000") -> Ivr:
    """Return an IVR that declares every option."""
    return Ivr(number, **full_options(folder))


def paths(value: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of each value that is no object in JSON."""
    items = value.items() if isinstance(value, Mapping) else enumerate(value)
    for key, item in items:
        if isinstance(item, Mapping) or (isinstance(item, list) and item):
            yield from paths(item, (*at, key))
        else:
            yield (*at, key)


def writable(model: type[Model], at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of each field that a client can set; those in lists without numbers."""
    for key, shape in shapes(model).items():
        if shape.spec.use == "read" or key == "id":
            continue
        if shape.model is not None and not shape.spec.refers:
            yield from writable(shape.model, (*at, key))
        else:
            yield (*at, key)
