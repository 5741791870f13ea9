"""Every row of the table, over a socket, on all four servers."""

import pytest

from tests.attacks.table import ROWS, Row
from tests.attacks.wire import Target, post
from tests.support import ANSWER


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_row(row: Row, stack: str, target: Target, caplog: pytest.LogCaptureFixture) -> None:
    before = len(target.handler.calls)
    with target.connect() as wire:
        wire.send(row.data)
        answer = wire.answer()
        ran = len(target.handler.calls) - before
        assert answer.status in row.allowed(stack)
        if row.runs is not None or answer.status != 200:
            assert ran == (row.runs is True and answer.status == 200)
        assert answer.status != 411 or answer.closes
        ends = row.ends(stack, answer.status)
        if ends:
            assert wire.closed()
        elif ends is False:
            assert wire.send(post())
            assert wire.answer().body == ANSWER
    assert target.still_answers()
    assert "Traceback" not in caplog.text
    assert "evil.example" not in caplog.text
