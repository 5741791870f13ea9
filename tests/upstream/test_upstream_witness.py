"""A witness sees what is asked, and nobody else pays for it."""

from __future__ import annotations

import pytest

from receiver.errors import UpstreamRefused
from receiver.upstream import Client
from receiver.upstream.witness import WITNESS, Asked
from tests.upstream.stage import BROKEN, Crm


class Seen:
    def __init__(self) -> None:
        self.what: list[Asked] = []
        self.before_was_asked = 0

    def asked(self, what: Asked) -> None:
        self.what.append(what)

    async def before(self) -> None:
        self.before_was_asked += 1


async def test_what_is_seen_has_no_query(crm: Crm) -> None:
    seen, client = Seen(), Client(crm.url)
    token = WITNESS.set(seen)
    try:
        await client.get("/people", params={"number": "+4930123"})
        crm.script = [BROKEN]
        with pytest.raises(UpstreamRefused):
            await client.post("/people", json={})
    finally:
        WITNESS.reset(token)
    await client.aclose()
    host = crm.url.removeprefix("http://")
    assert [one[:4] for one in seen.what] == [
        ("GET", host, "/people", 200),
        ("POST", host, "/people", 503),
    ]
    assert all(one.seconds >= 0 for one in seen.what)
    assert seen.before_was_asked == 2


async def test_without_a_witness_nothing_is_seen(crm: Crm) -> None:
    assert WITNESS.get() is None
    client = Client(crm.url)
    assert (await client.get("/people")).status == 200
    await client.aclose()
