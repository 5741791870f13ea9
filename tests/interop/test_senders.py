"""Real HTTP clients against the app on a real socket, in every mode, by GET and POST."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from receiver.calls import Call
from tests.interop.senders import SENDERS, Sender
from tests.interop.stage import Stage
from tests.support import ANSWER

pytestmark = pytest.mark.asyncio(loop_scope="module")

JASON = Call("101", "Jason", "888", "Sales", "22", "12345678")

There = Callable[[Sender], Sender]


def cases(*last: Any) -> Iterator[Any]:
    """Each sender with each mode and method it can do, and each of ``last``."""
    for sender in SENDERS:
        for mode in sender.modes:
            for method in sender.methods:
                for value in last:
                    name = f"{sender.name}-{mode}-{method}-{value}"
                    yield pytest.param(sender, mode, method, value, id=name)


@pytest.mark.parametrize(
    ("sender", "mode", "method", "connections"),
    [case for case in cases("fresh", "kept") if case.values[0].keeps or case.values[3] == "fresh"],
)
async def test_three_callbacks_in_a_row_run_the_handler_once_each(
    sender: Sender, mode: str, method: str, connections: str, stage: Stage, there: There
) -> None:
    sent = stage.sent(method, mode, fresh=connections == "fresh")
    assert await asyncio.to_thread(there(sender).run, sent) == ANSWER * 3
    assert stage.handler.calls == [JASON] * 3
    assert stage.kept_a_connection() == (connections == "kept")


@pytest.mark.parametrize(
    ("sender", "mode", "method", "identity"),
    [case for case in cases("888/another", "888/get-open") if case.values[1] != "open"],
)
async def test_credentials_of_another_action_never_run_the_handler(
    sender: Sender, mode: str, method: str, identity: str, stage: Stage, there: There
) -> None:
    sent = stage.sent(method, mode, identity, times=1)
    assert await asyncio.to_thread(there(sender).run, sent) == b""
    assert stage.handler.calls == []
    assert {seen.status for seen in stage.wire.seen} == {401}
