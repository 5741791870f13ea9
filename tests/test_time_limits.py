"""The time limits of the shared stores; tests pass longer ones, for a busy machine."""

from receiver.background import after
from receiver.storage import breaker, redis_client


def test_a_silent_store_delays_a_callback_little() -> None:
    assert redis_client._TIMEOUT_SHARE < 1
    assert breaker.REQUEST_TIMEOUT <= 0.15
    assert after.ACCEPT_TIMEOUT <= 0.2
