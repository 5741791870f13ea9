"""How long a caller waits for what is shared; tests of outages give a busy machine more."""

from receiver.after import work
from receiver.shared import patience, server


def test_a_place_that_is_silent_takes_little_of_a_call() -> None:
    assert server._TIMEOUT < patience.LIMIT <= 0.15
    assert work.LIMIT <= 0.2
