"""The digest behaviour of real clients that the other tests rely on, seen on the wire."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from receiver.auth.digest import NONCE_LIFE, Digest
from receiver.auth.scheme import AuthRequest, AuthResult
from tests.interop.senders import SENDERS, Sender
from tests.interop.stage import Stage
from tests.support import ANSWER

pytestmark = pytest.mark.asyncio(loop_scope="module")

SENDER = {sender.name: sender for sender in SENDERS}
DIGEST = [sender for sender in SENDERS if "digest" in sender.modes]
There = Callable[[Sender], Sender]

# The answers to three callbacks over one connection, with the count that each request bore.
HABITS = {
    "curl": "401, 200/1, 401, 200/1, 401, 200/1",
    "libcurl": "401, 200/1, 200/2, 200/3",
    "PHP curl": "401, 200/1, 200/2, 200/3",
    "LWP": "401, 200/1, 200/2, 200/3",
    "digest-fetch": "401, 200/1, 200/2, 200/3",
    # Uses a count twice, is refused, and takes that for a new beginning.
    "axios-digest-auth": "401, 200/1, 401/1 stale, 200/2, 401/2 stale, 200/3",
    # Begins at two.
    "needle": "401, 200/2, 401, 200/2, 401, 200/2",
}

# The same, where the nonce has run out by the next callback.
HABITS_WITH_OLD_NONCES = {
    "libcurl": "401, 200/1, 401/2 stale, 200/1, 401/2 stale, 200/1",
    # Continues to count.
    "digest-fetch": "401, 200/1, 401/2 stale, 200/3, 401/4 stale, 200/5",
}


async def send(sender: Sender, stage: Stage, method: str = "POST") -> str:
    """Send three callbacks and return what was observed."""
    read = await asyncio.to_thread(sender.run, stage.sent(method, "digest"))
    assert read == (ANSWER * 3 if method in sender.methods else b"")
    return ", ".join(map(str, stage.wire.seen))


@pytest.mark.parametrize("name", HABITS)
async def test_counts_of_a_nonce(name: str, stage: Stage, there: There) -> None:
    assert await send(there(SENDER[name]), stage) == HABITS[name]


async def test_urllib_counts_on_from_nonce_to_nonce(stage: Stage, there: There) -> None:
    await send(there(SENDER["urllib"]), stage)
    sent = [seen.digest for seen in stage.wire.seen if seen.digest]
    first = int(sent[0]["nc"], 16)
    assert [int(digest["nc"], 16) for digest in sent] == [first, first + 1, first + 2]
    assert len({digest["nonce"] for digest in sent}) == 3


@pytest.mark.parametrize("name", [sender.name for sender in DIGEST if sender.keeps])
async def test_an_expired_nonce_loses_no_callback(
    name: str, stage: Stage, there: There, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = Digest.check

    def later(self: Digest, asked: AuthRequest, now: float) -> AuthResult:
        return check(self, asked, now + len(stage.handler.calls) * 2 * NONCE_LIFE)

    monkeypatch.setattr(Digest, "check", later)
    seen = await send(there(SENDER[name]), stage)
    assert len(stage.handler.calls) == 3
    assert HABITS_WITH_OLD_NONCES.get(name, seen) == seen


@pytest.mark.parametrize(
    ("name", "length"),
    [("curl", 0), ("libcurl", 0), ("PHP curl", 0), ("curl --anyauth", 116), ("libcurl ANY", 116)],
)
async def test_libcurl_first_sends_no_body_if_it_knows_that_digest_comes(
    name: str, length: int, stage: Stage, there: There
) -> None:
    await send(there(SENDER[name]), stage)
    assert [seen.length for seen in stage.wire.seen][:2] == [str(length), "116"]


async def test_axios_digest_auth_signs_no_query_and_is_refused(stage: Stage, there: There) -> None:
    assert (
        await send(there(SENDER["axios-digest-auth"]), stage, "GET") == "401, 400/1, 400/1, 400/1"
    )
    assert stage.handler.calls == []
