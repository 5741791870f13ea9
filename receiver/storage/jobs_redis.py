"""Jobs of several machines: Redis, 5.0 or later.

Rule 1: each step is one script, so that it happens whole or not at all.
Rule 2: what Redis forgets is lost. It must write what it accepts (``appendonly yes``; with
        ``appendfsync always`` a power cut takes nothing either, with ``everysec`` up to a second)
        and throw nothing out (``maxmemory-policy noeviction``).
Rule 3: all is bounded, see `receiver.storage.job_queue`. Jobs that wait and dead letters never
        expire; the keys of done jobs expire `KEY_LIFETIME` seconds after the latest.
Rule 4: all keys of Redis are named here and are in one slot of a cluster.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Sequence
from typing import Any

from receiver.credentials import Secret
from receiver.storage.breaker import REQUEST_TIMEOUT, StoreError
from receiver.storage.job_queue import (
    BOUNDS,
    KEY_LIFETIME,
    UNDECODABLE,
    Bounds,
    DeadJob,
    Job,
    JobState,
    log_undecodable,
    read_dead_job,
    read_job,
    to_octets,
    to_text,
)
from receiver.storage.redis_client import answer_of, connect

PREFIX = "receiver:{jobs}:"
"""The prefix of all keys."""

# By time: due, done, dead. By the key of a job: body, claims, tries, reason, result.
_NAMES = ("due", "done", "dead", "body", "claims", "tries", "reason", "result")
_KEYS = [PREFIX + name for name in _NAMES]
_COMMON = """
local DUE, DONE, DEAD, BODY, CLAIMS, TRIES, REASON, RESULT = unpack(KEYS)
local function mine(key, claim)
  return redis.call('HGET', CLAIMS, key) == claim and redis.call('ZSCORE', DUE, key)
end
local function forget(key)
  for _, hash in ipairs({BODY, CLAIMS, TRIES, REASON}) do redis.call('HDEL', hash, key) end
end
"""

_ACCEPT = """
local key, body, now, keep, most = unpack(ARGV)
if redis.call('HEXISTS', BODY, key) == 1 then return 0 end
local done = redis.call('ZSCORE', DONE, key)
if done and tonumber(done) >= now - keep then return 0 end
if redis.call('ZCARD', DUE) >= tonumber(most) then return -1 end
redis.call('HDEL', RESULT, key)
redis.call('HSET', BODY, key, body)
redis.call('ZADD', DUE, now, key)
-- Earlier versions let a queue expire.
for _, name in ipairs({DUE, DEAD, BODY, CLAIMS, TRIES, REASON}) do redis.call('PERSIST', name) end
return 1
"""
_CLAIM = """
local now, due, most = unpack(ARGV)
local claimed = {}
local function counted(hash, key)
  local found = redis.pcall('HINCRBY', hash, key, 1)
  if type(found) == 'number' then return found end
  redis.call('HSET', hash, key, 1)  -- the stored value was no number
  return 1
end
for _, key in ipairs(redis.call('ZRANGEBYSCORE', DUE, '-inf', now, 'LIMIT', 0, most)) do
  redis.call('ZADD', DUE, due, key)
  claimed[#claimed + 1] = {
    key, redis.call('HGET', BODY, key),
    counted(CLAIMS, key), counted(TRIES, key)
  }
end
return claimed
"""
_RENEW = """
local lost = {}
for i = 2, #ARGV, 2 do
  if mine(ARGV[i], ARGV[i + 1]) then redis.call('ZADD', DUE, ARGV[1], ARGV[i])
  else lost[#lost + 1] = i / 2 - 1 end
end
return lost
"""
_RESCHEDULE = """
local key, claim, due, tries = unpack(ARGV)
if not mine(key, claim) then return end
redis.call('ZADD', DUE, due, key)
redis.call('HSET', TRIES, key, tries)
redis.call('HINCRBY', CLAIMS, key, 1)  -- no late renewal counts
"""
_DEAD_LETTER = """
local key, claim, reason, now, most = unpack(ARGV)
if not mine(key, claim) then return end
redis.call('ZREM', DUE, key)
redis.call('ZADD', DEAD, now, key)
redis.call('HSET', REASON, key, reason)
local dropped = 0
while redis.call('ZCARD', DEAD) > tonumber(most) do
  forget(redis.call('ZPOPMIN', DEAD)[1])
  dropped = dropped + 1
end
return dropped
"""
_FINISH = """
local key, now, keep, most, result = unpack(ARGV)
local function expire(keys)
  for _, old in ipairs(keys) do
    redis.call('ZREM', DONE, old)
    redis.call('HDEL', RESULT, old)
  end
end
if redis.call('HEXISTS', BODY, key) == 1 then
  forget(key)
  redis.call('ZREM', DUE, key)
  redis.call('ZREM', DEAD, key)
  redis.call('ZADD', DONE, now, key)
  if result ~= '' then redis.call('HSET', RESULT, key, result) end
end
local before = '(' .. string.format('%.17g', now - keep)
expire(redis.call('ZRANGEBYSCORE', DONE, '-inf', before, 'LIMIT', 0, 1000))
expire(redis.call('ZRANGE', DONE, 0, -tonumber(most) - 1))
redis.call('EXPIRE', DONE, math.ceil(keep))
redis.call('EXPIRE', RESULT, math.ceil(keep))
"""
_STATE = """
local key = ARGV[1]
if redis.call('ZSCORE', DUE, key) then return {'open', ''} end
if redis.call('ZSCORE', DEAD, key) then return {'dead', ''} end
if redis.call('ZSCORE', DONE, key) then return {'done', redis.call('HGET', RESULT, key) or ''} end
"""
_LIST = """
local found = {}
for i, key in ipairs(redis.call('ZREVRANGE', DEAD, 0, ARGV[1] - 1)) do
  found[i] = {
    key, redis.call('HGET', BODY, key), tonumber(redis.call('HGET', TRIES, key) or 0) or 0,
    redis.call('HGET', REASON, key), redis.call('ZSCORE', DEAD, key)
  }
end
return found
"""
_RETRY = """
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
forget(key)
return 1
"""


class RedisJobs:
    """`JobQueue` of text in the Redis at ``url``; the first request connects.

    Parameters:
        url: ``redis://``, ``rediss://`` or ``unix://``; it may hold a password.
        setting: the variable that names it, for the text of errors.
        bounds: of the queue.
        limit: seconds for a request.

    Raises:
        SettingsError: redis-py cannot read the URL.
    """

    def __init__(
        self, url: Secret, setting: str, *, bounds: Bounds = BOUNDS, limit: float = REQUEST_TIMEOUT
    ) -> None:
        self._client = connect(url, setting, limit)
        self._bounds = bounds
        self._scripts: dict[str, Any] = {}

    async def accept(self, key: str, body: str, now: float) -> bool:
        accepted = await self._run(_ACCEPT, key, body, repr(now), KEY_LIFETIME, self._bounds.open)
        if accepted < 0:
            raise self._bounds.full()
        return bool(accepted)

    async def claim(self, now: float, until: float, max_jobs: int) -> list[Job[str]]:
        found = [
            read_job(*row) for row in await self._run(_CLAIM, repr(now), repr(until), max_jobs)
        ]
        broken = [job for job, is_text in found if not is_text]
        log_undecodable(len(broken))
        for job in broken:
            with contextlib.suppress(StoreError):  # the next claim finds it again
                await self.dead_letter(job, UNDECODABLE, now)
        return [job for job, is_text in found if is_text]

    async def renew(self, jobs: Sequence[Job[str]], until: float) -> Collection[Job[str]]:
        both = [value for job in jobs for value in (job.key, job.claim)]
        return [jobs[place] for place in await self._run(_RENEW, repr(until), *both)]

    async def done(self, job: Job[str], now: float, result: str = "") -> None:
        await self._run(_FINISH, job.key, repr(now), KEY_LIFETIME, self._bounds.done, result)

    async def state(self, key: str) -> JobState | None:
        found = await self._run(_STATE, key)
        return JobState(to_text(found[0]), to_text(found[1])) if found else None  # type: ignore[arg-type]

    async def reschedule(self, job: Job[str], due: float, tries: int) -> None:
        await self._run(_RESCHEDULE, job.key, job.claim, repr(due), tries)

    async def dead_letter(self, job: Job[str], reason: str, now: float) -> None:
        args = (job.key, job.claim, reason, repr(now), self._bounds.dead)
        self._bounds.log_dropped(await self._run(_DEAD_LETTER, *args) or 0)

    async def dead(self, max_jobs: int = 100) -> list[DeadJob[str]]:
        return [read_dead_job(*row) for row in await self._run(_LIST, max_jobs)]

    async def retry(self, key: str, now: float) -> bool:
        return bool(await self._run(_RETRY, key, repr(now)))

    async def drop(self, key: str) -> bool:
        return bool(await self._run(_DROP, key))

    async def close(self) -> None:
        await self._client.aclose()

    async def _run(self, script: str, *args: object) -> Any:
        if script not in self._scripts:
            self._scripts[script] = self._client.register_script(_COMMON + script)
        octets = [to_octets(arg) if isinstance(arg, str) else arg for arg in args]
        return await answer_of(self._scripts[script](keys=_KEYS, args=octets))
