"""The command line, run in the process of the test."""

from __future__ import annotations

import inspect
from typing import Any

import click.testing

MIXES = "mix_stderr" in inspect.signature(click.testing.CliRunner.__init__).parameters
"""click before 8.2: standard error is apart only on request, and then not part of the output."""


class _Whole(click.testing.Result):
    """A result of click before 8.2 with the output of click 8.2."""

    @property
    def output(self) -> str:
        return self.stdout + self.stderr


class CliRunner(click.testing.CliRunner):
    """click's runner, which gives the same results with every version that is supported."""

    def __init__(self) -> None:
        options: dict[str, Any] = {"mix_stderr": False} if MIXES else {}
        super().__init__(**options)

    def invoke(self, *arguments: Any, **options: Any) -> click.testing.Result:
        result = super().invoke(*arguments, **options)
        if MIXES:
            result.__class__ = _Whole
        return result
