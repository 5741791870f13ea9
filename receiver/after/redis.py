"""Jobs of several machines: Redis, 5.0 or later.

Rule 1: each step is one script, so that it happens whole or not at all.
Rule 2: what Redis forgets is lost. It must write what it accepts (``appendonly yes``; with
        ``appendfsync always`` a power cut takes nothing either, with ``everysec`` up to a second)
        and throw nothing out (``maxmemory-policy noeviction``).
Rule 3: all keys of Redis are named here and stand in one slot of a cluster.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from receiver.after.jobs import KEEP, DeadJob, Job
from receiver.secrets import Secret
from receiver.shared.server import ask, connect

PREFIX = "receiver:{after}:"
"""What all keys begin with."""

# By time: due, done, dead. By the key of a job: body, claims, tries, reason.
_KEYS = [PREFIX + n for n in ("due", "done", "dead", "body", "claims", "tries", "reason")]
_NAMES = "local DUE, DONE, DEAD, BODY, CLAIMS, TRIES, REASON = unpack(KEYS)\n"

_ACCEPT = """
local key, body, now, keep = unpack(ARGV)
if redis.call('HEXISTS', BODY, key) == 1 then return 0 end
local done = redis.call('ZSCORE', DONE, key)
if done and tonumber(done) >= now - keep then return 0 end
redis.call('HSET', BODY, key, body)
redis.call('ZADD', DUE, now, key)
return 1
"""
_CLAIM = """
local now, due, most = unpack(ARGV)
local claimed = {}
for _, key in ipairs(redis.call('ZRANGEBYSCORE', DUE, '-inf', now, 'LIMIT', 0, most)) do
  redis.call('ZADD', DUE, due, key)
  claimed[#claimed + 1] = {
    key, redis.call('HGET', BODY, key),
    redis.call('HINCRBY', CLAIMS, key, 1), redis.call('HINCRBY', TRIES, key, 1)
  }
end
return claimed
"""
_MINE = """
local function mine(key, claim)
  return redis.call('HGET', CLAIMS, key) == claim and redis.call('ZSCORE', DUE, key)
end
"""
_RENEW = (
    _MINE
    + """
local lost = {}
for i = 2, #ARGV, 2 do
  if mine(ARGV[i], ARGV[i + 1]) then redis.call('ZADD', DUE, ARGV[1], ARGV[i])
  else lost[#lost + 1] = i / 2 - 1 end
end
return lost
"""
)
_AGAIN = (
    _MINE
    + """
local key, claim, due, tries = unpack(ARGV)
if not mine(key, claim) then return end
redis.call('ZADD', DUE, due, key)
redis.call('HSET', TRIES, key, tries)
redis.call('HINCRBY', CLAIMS, key, 1)  -- no late renewal counts
"""
)
_BURY = (
    _MINE
    + """
local key, claim, reason, now = unpack(ARGV)
if not mine(key, claim) then return end
redis.call('ZREM', DUE, key)
redis.call('ZADD', DEAD, now, key)
redis.call('HSET', REASON, key, reason)
"""
)
_FINISH = """
local key, now, keep = unpack(ARGV)
if redis.call('HDEL', BODY, key) == 1 then
  redis.call('ZREM', DUE, key)
  redis.call('ZREM', DEAD, key)
  redis.call('HDEL', CLAIMS, key)
  redis.call('HDEL', TRIES, key)
  redis.call('HDEL', REASON, key)
  redis.call('ZADD', DONE, now, key)
end
redis.call('ZREMRANGEBYSCORE', DONE, '-inf', '(' .. string.format('%.17g', now - keep))
"""
_LIST = """
local found = {}
for i, key in ipairs(redis.call('ZREVRANGE', DEAD, 0, ARGV[1] - 1)) do
  found[i] = {
    key, redis.call('HGET', BODY, key), redis.call('HGET', TRIES, key),
    redis.call('HGET', REASON, key), redis.call('ZSCORE', DEAD, key)
  }
end
return found
"""
_REVIVE = """
local key, now = unpack(ARGV)
if redis.call('ZREM', DEAD, key) == 0 then return 0 end
redis.call('HDEL', TRIES, key)
redis.call('HDEL', REASON, key)
redis.call('ZADD', DUE, now, key)
return 1
"""
_DROP = """
local key = ARGV[1]
if redis.call('ZREM', DEAD, key) == 0 then return 0 end
for _, hash in ipairs({BODY, CLAIMS, TRIES, REASON}) do redis.call('HDEL', hash, key) end
return 1
"""


class RedisJobs:
    """`Jobs` in the Redis at ``url``, which is first connected to when it is first asked.

    Parameters:
        url: ``redis://``, ``rediss://`` or ``unix://``; it may hold a password.
        setting: the variable that names it, for the text of errors.

    Raises:
        SettingsError: redis-py cannot read the URL.
    """

    def __init__(self, url: Secret, setting: str) -> None:
        self._client = connect(url, setting)
        self._scripts: dict[str, Any] = {}

    async def accept(self, key: str, body: str, now: float) -> bool:
        return bool(await self._run(_ACCEPT, key, body, repr(now), KEEP))

    async def claim(self, now: float, until: float, most: int) -> list[Job]:
        found = await self._run(_CLAIM, repr(now), repr(until), most)
        return [Job(_text(key), _text(body), claim, tries) for key, body, claim, tries in found]

    async def renew(self, jobs: Sequence[Job], until: float) -> Collection[Job]:
        both = [value for job in jobs for value in (job.key, job.claim)]
        return [jobs[place] for place in await self._run(_RENEW, repr(until), *both)]

    async def done(self, job: Job, now: float) -> None:
        await self._run(_FINISH, job.key, repr(now), KEEP)

    async def again(self, job: Job, due: float, tries: int) -> None:
        await self._run(_AGAIN, job.key, job.claim, repr(due), tries)

    async def bury(self, job: Job, reason: str, now: float) -> None:
        await self._run(_BURY, job.key, job.claim, reason, repr(now))

    async def dead(self, most: int = 100) -> list[DeadJob]:
        return [
            DeadJob(_text(key), _text(body), int(tries), _text(reason), float(died))
            for key, body, tries, reason, died in await self._run(_LIST, most)
        ]

    async def revive(self, key: str, now: float) -> bool:
        return bool(await self._run(_REVIVE, key, repr(now)))

    async def drop(self, key: str) -> bool:
        return bool(await self._run(_DROP, key))

    async def close(self) -> None:
        await self._client.aclose()

    async def _run(self, script: str, *args: object) -> Any:
        if script not in self._scripts:
            self._scripts[script] = self._client.register_script(_NAMES + script)
        return await ask(self._scripts[script](keys=_KEYS, args=args))


def _text(octets: bytes) -> str:
    return octets.decode()
