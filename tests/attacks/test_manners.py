"""Valid but unusual behaviour of clients: other than one request after another, on all servers."""

from tests.attacks.wire import BODY, FORM, Target, chunked, post, request, token
from tests.support import ANSWER


def test_two_requests_in_one_segment_are_answered_in_order(target: Target) -> None:
    before = len(target.handler.calls)
    wrong = request(b"Host: x", b"Content-Length: %d" % len(BODY), body=BODY)
    with target.connect() as wire:
        wire.send(post() + wrong + post())
        assert [wire.answer().status for _ in range(3)] == [200, 401, 200]
    assert len(target.handler.calls) == before + 2


def test_callbacks_in_segments_of_one_octet(stack: str, target: Target) -> None:
    with target.connect() as wire:
        for data in (post(), post() if stack == "uvicorn-httptools" else chunked(token())):
            for octet in data:
                wire.send(bytes([octet]))
            assert wire.answer().body == ANSWER


def test_expect_100_continue(target: Target) -> None:
    with target.connect() as wire:
        length = b"Content-Length: %d" % len(BODY)
        wire.send(request(b"Host: x", token(), FORM, length, b"Expect: 100-continue"))
        assert wire.answer().status == 100
        wire.send(BODY)
        assert wire.answer().body == ANSWER


def test_expect_100_with_a_large_body_is_refused(target: Target) -> None:
    with target.connect() as wire:
        wire.send(request(b"Host: x", token(), b"Content-Length: 99999", b"Expect: 100-continue"))
        assert wire.answer().status == 413
        assert wire.closed()
