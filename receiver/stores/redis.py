"""The store that several machines share: Redis, 5.0 or later.

Rule 1: what is kept expires by itself, by Redis's own clock, after the longest time for which any
        machine could still ask for it.
Rule 2: who does not know the password fills at most `most_sources` places. Counts are kept for
        those who know it only, so that they need no bound; a Redis that runs full says so (its
        policy ``noeviction``), and one that evicts keys instead lets a captured request in again.
"""

from __future__ import annotations

from receiver.auth.counters import SKEW
from receiver.auth.throttle import FORGET, SHUT, Standing
from receiver.secrets import Secret
from receiver.shared.server import PREFIX, ask, connect

_COUNTS, _LASTS = PREFIX + "{failures}:counts", PREFIX + "{failures}:lasts"  # one slot: one script

# Standing.failed, where it is atomic; then whoever has been idle longest makes room.
_FAILED = """
local key, now, forget = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local last = redis.call('ZSCORE', KEYS[2], key)
local age = last and now - tonumber(last)
if not age or age < -tonumber(ARGV[4]) or age >= forget then redis.call('HDEL', KEYS[1], key) end
local failures = redis.call('HINCRBY', KEYS[1], key, 1)
redis.call('ZADD', KEYS[2], ARGV[2], key)
while redis.call('ZCARD', KEYS[2]) > tonumber(ARGV[5]) do
  redis.call('HDEL', KEYS[1], redis.call('ZPOPMIN', KEYS[2])[1])
end
redis.call('EXPIRE', KEYS[1], forget)
redis.call('EXPIRE', KEYS[2], forget)
return failures
"""


class Redis:
    """A `Store` in the Redis at ``url``, which is first connected to when it is first asked.

    Parameters:
        url: ``redis://``, ``rediss://`` or ``unix://``; it may hold a password.
        life: seconds for which a nonce is good.
        most_sources: sources whose failures are remembered at once.

    Raises:
        SettingsError: redis-py cannot read the URL.
    """

    def __init__(self, url: Secret, *, life: float, most_sources: int = 100_000) -> None:
        self._keep = int((life + SKEW) * 1000)
        self._most = most_sources
        self._client = connect(url)
        self._failed = self._client.register_script(_FAILED)

    async def use(self, nonce: str, count: int, made: float, now: float) -> bool:
        key = f"{PREFIX}nonce:{nonce}:{count}"
        return bool(await ask(self._client.set(key, 1, nx=True, px=self._keep)))

    async def failed(self, key: str, now: float) -> Standing:
        args = [key, repr(now), FORGET, SHUT, self._most]
        failures = await ask(self._failed(keys=[_COUNTS, _LASTS], args=args))
        return Standing(int(failures), now)

    async def standing(self, key: str, now: float) -> Standing:
        both = self._client.pipeline()
        both.hget(_COUNTS, key)
        both.zscore(_LASTS, key)
        failures, last = await ask(both.execute())
        if failures is None or last is None:
            return Standing()
        return Standing(int(failures), float(last)).at(now)

    async def reach(self) -> None:
        await ask(self._client.exists(PREFIX + "nonce:"))

    async def close(self) -> None:
        await self._client.aclose()
