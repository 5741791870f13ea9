"""By hand: 10,000 contacts and 50 calls a second: what share the cache answers, what HubSpot gets.

    python -m tests.bench.crm [seconds [callers [searches a second]]]

A HubSpot in memory on loopback, the real connector at its default pace (4 searches and 10 other
requests a second), no log entries. Callers are drawn as in production: of ``callers`` numbers
a few call often (Zipf's law). Once with an empty memory, and once again with what it then knows.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections import Counter

from handlers.crm.hubspot import HubSpot
from handlers.crm.lookup import CallerLookup
from receiver import Call, Forward
from receiver.server.uvicorn_server import running
from tests.handlers.crm.fake_hubspot import FakeHubSpot
from tests.upstream.stage import Timed

CONTACTS = 10_000
RATE = 50
BUDGET = 1.5


class Indexed(FakeHubSpot):
    """Finds by an index: the fake must not dominate the measurement."""

    def fill(self) -> None:
        for number in range(CONTACTS):
            self.add(f"+4930{2_000_000 + number}", f"No {number}")
        self._by_number = {
            row["properties"]["hs_searchable_calculated_phone_number"]: row for row in self.contacts
        }

    def _search(self, rows: list[dict[str, object]], body: dict[str, object]) -> object:  # type: ignore[override]
        groups: list[dict[str, list[dict[str, str]]]] = body["filterGroups"]  # type: ignore[assignment]
        row = self._by_number.get(groups[0]["filters"][0]["value"])
        return super()._search([row] if row else [], body)


async def phase(
    title: str, lookup: CallerLookup, fake: Indexed, seconds: int, callers: int
) -> None:
    weights = [1 / (rank + 1) for rank in range(callers)]
    drawn = random.Random(7).choices(range(callers), weights, k=seconds * RATE)
    loop, before = asyncio.get_running_loop(), len(fake.requests)
    took: list[float] = []
    replies: Counter[str] = Counter()

    async def one(number: int) -> None:
        began = loop.time()
        reply = await lookup(Timed(caller=f"030 {2_000_000 + number}", left=BUDGET))
        took.append(loop.time() - began)
        replies["the owner" if reply == Forward("222") else "unknown"] += 1

    began = loop.time()
    async with asyncio.TaskGroup() as calls:
        for turn, number in enumerate(drawn):
            await asyncio.sleep(max(0.0, began + turn / RATE - loop.time()))
            calls.create_task(one(number))
    whole = loop.time() - began
    kinds = Counter(request.path.rsplit("/", 1)[0] for request in fake.requests[before:])
    took.sort()
    print(f"{title}: {len(drawn)} calls of {len(set(drawn))} callers in {whole:.1f} s")
    print(f"  to the owner {replies['the owner'] / len(drawn):.1%}, unknown {replies['unknown']}")
    print(f"  requests a second to HubSpot: {sum(kinds.values()) / whole:.1f} {dict(kinds)}")
    searches = kinds["/crm/v3/objects/contacts"]
    print(f"  to the owner from memory {max(replies['the owner'] - searches, 0) / len(drawn):.1%}")
    print(f"  median {took[len(took) // 2] * 1e3:.1f} ms, slowest {took[-1] * 1e3:.0f} ms")


async def main(seconds: int, callers: int, searches: int) -> None:
    fake = Indexed()
    fake.fill()
    async with running(fake, lifespan="off") as url:
        crm = HubSpot(fake.token, url=url, per_second=searches)
        lookup = CallerLookup(
            crm, owners={"ada@example.com": "222"}, unknown="0", region="DE", log="never"
        )
        await lookup(Call(caller="101"))
        for title in ("empty memory", "again"):
            await phase(title, lookup, fake, seconds, callers)


if __name__ == "__main__":
    given = [int(text) for text in sys.argv[1:]]
    asyncio.run(main(*(given + [10, CONTACTS, 4][len(given) :])))
