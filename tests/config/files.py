"""Builds apps from texts."""

from pathlib import Path

import pytest

from receiver import Receiver
from receiver.config.build import build
from receiver.errors import ConfigurationError

FOLDER = Path(__file__).parent


def built(text: str, **variables: str) -> Receiver:
    return build(text, "app.toml", variables, FOLDER)


def problems(text: str, **variables: str) -> list[str]:
    """Return the problems without the name of the file."""
    with pytest.raises(ConfigurationError) as caught:
        built(text, **variables)
    assert str(caught.value) == "\n".join(f"{at}: {what}" for at, what in caught.value.problems)
    return [f"{at.removeprefix('app.toml:')} {what}" for at, what in caught.value.problems]


def of_action(line: str) -> str:
    """A file with one action, whose ``then`` is in line 6."""
    return f'[[ivr]]\nnumber = "8000"\n[[ivr.dtmf]]\nname = "x"\nmask = "1"\nthen = {line}\n'
