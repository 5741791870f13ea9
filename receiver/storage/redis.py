"""The backend that several machines share: Redis, 5.0 or later.

Rule 1: every key expires, by the clock of Redis, after the longest time for which any machine could
        still read it.
Rule 2: a client without valid credentials adds at most ``max_sources`` entries. Nonce counts and
        sessions need valid credentials; only their lifetime limits their number.
Rule 3: a full Redis must refuse writes (its policy ``noeviction``). If it evicts keys instead, a
        replayed request is accepted, and sessions are lost.
Rule 4: each part has its own connections, opened when it is first used.
"""

from __future__ import annotations

import secrets

from receiver.auth.replay_window import SKEW
from receiver.auth.throttle import BLOCK_TIME, FAILURE_LIFE, FailureRecord
from receiver.credentials import Secret
from receiver.storage.breaker import REQUEST_TIMEOUT, SETTING
from receiver.storage.job_queue import JobQueue
from receiver.storage.jobs_redis import RedisJobs
from receiver.storage.protocols import SESSION_LEASE
from receiver.storage.redis_client import PREFIX, answer_of, connect

LEASES = PREFIX + "lease:"
"""The prefix of the keys of leases."""

_COUNTS, _LASTS = PREFIX + "{failures}:counts", PREFIX + "{failures}:lasts"  # one slot: one script

# FailureRecord.failed as an atomic script, which then deletes the key that was idle longest.
_FAILED = """
local key, now, forget = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local last = redis.call('ZSCORE', KEYS[2], key)
local age = last and now - tonumber(last)
if not age or age < -tonumber(ARGV[4]) or age >= forget then redis.call('HDEL', KEYS[1], key) end
local failures = redis.pcall('HINCRBY', KEYS[1], key, 1)
if type(failures) ~= 'number' then  -- the stored value was no number
  redis.call('HSET', KEYS[1], key, 1)
  failures = 1
end
redis.call('ZADD', KEYS[2], ARGV[2], key)
while redis.call('ZCARD', KEYS[2]) > tonumber(ARGV[5]) do
  redis.call('HDEL', KEYS[1], redis.call('ZPOPMIN', KEYS[2])[1])
end
redis.call('EXPIRE', KEYS[1], forget)
redis.call('EXPIRE', KEYS[2], forget)
return failures
"""
_ACQUIRE_SESSION = """
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return false end
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return redis.call('GET', KEYS[2]) or ''
"""
_RELEASE_SESSION = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
if ARGV[3] == 'leave' then redis.call('PEXPIRE', KEYS[2], ARGV[2])
elseif ARGV[4] == '' then redis.call('DEL', KEYS[2])
else redis.call('SET', KEYS[2], ARGV[4], 'PX', ARGV[2]) end
return 1
"""
_TAKE_LEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) and 1 or 0
"""
_LEAVE_LEASE = "return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('DEL', KEYS[1]) or 0"


class Redis:
    """A `Backend` in the Redis at ``url``.

    Parameters:
        url: ``redis://``, ``rediss://`` or ``unix://``; it may hold a password.
        setting: the variable that names it, for the text of errors.
        limit: seconds for a request.

    Each part raises SettingsError if redis-py cannot read the URL.
    """

    name = "Redis"

    def __init__(self, url: Secret, setting: str, limit: float = REQUEST_TIMEOUT) -> None:
        self._url, self._setting, self._limit = url, setting, limit

    def auth(self, *, life: float) -> RedisAuth:
        return RedisAuth(self._url, life=life, setting=self._setting, limit=self._limit)

    def sessions(self) -> RedisSessions:
        return RedisSessions(self._url, self._setting, limit=self._limit)

    def lease(self, name: str) -> RedisLease:
        return RedisLease(self._url, name, setting=self._setting)

    def jobs(self) -> JobQueue[str]:
        return RedisJobs(self._url, self._setting, limit=self._limit)


class RedisAuth:
    """An `AuthStore`.

    Parameters:
        url, setting, limit: as for `Redis`.
        life: seconds for which a nonce is valid.
        max_sources: client addresses whose failures are remembered at once.
    """

    def __init__(
        self,
        url: Secret,
        *,
        life: float,
        max_sources: int = 100_000,
        setting: str = SETTING,
        limit: float = REQUEST_TIMEOUT,
    ) -> None:
        self._keep = int((life + SKEW) * 1000)
        self._most = max_sources
        self._client = connect(url, setting, limit)
        self._failed = self._client.register_script(_FAILED)

    async def use(self, nonce: str, count: int, made: float, now: float) -> bool:
        key = f"{PREFIX}nonce:{nonce}:{count}"
        return bool(await answer_of(self._client.set(key, 1, nx=True, px=self._keep)))

    async def failed(self, key: str, now: float) -> FailureRecord:
        args = [key, repr(now), FAILURE_LIFE, BLOCK_TIME, self._most]
        failures = await answer_of(self._failed(keys=[_COUNTS, _LASTS], args=args))
        return FailureRecord(int(failures), now)

    async def reach(self) -> None:
        await answer_of(self._client.exists(PREFIX + "nonce:"))

    async def close(self) -> None:
        await self._client.aclose()


class RedisSessions:
    """A `SessionStore`."""

    def __init__(
        self, url: Secret, setting: str = SETTING, *, limit: float = REQUEST_TIMEOUT
    ) -> None:
        self._client = connect(url, setting, limit)
        self._acquire_script = self._client.register_script(_ACQUIRE_SESSION)
        self._release_script = self._client.register_script(_RELEASE_SESSION)

    async def acquire(self, name: str, token: str, life: float) -> bytes | None:
        args = [token, _milliseconds(SESSION_LEASE), _milliseconds(SESSION_LEASE + life)]
        data = await answer_of(self._acquire_script(keys=_keys(name), args=args))
        return None if data is None else bytes(data)

    async def release(self, name: str, token: str, data: bytes | None, life: float) -> bool:
        args = [token, _milliseconds(life), "leave" if data is None else "save", data or b""]
        return bool(await answer_of(self._release_script(keys=_keys(name), args=args)))

    async def close(self) -> None:
        await self._client.aclose()


class RedisLease:
    """A `Lease`: a key, whose value is its holder.

    Parameters:
        url, setting: as for `Redis`.
        name: of the lease.
        limit: seconds for a request: no caller waits for it.
    """

    def __init__(
        self, url: Secret, name: str, *, setting: str = SETTING, limit: float = 2.5
    ) -> None:
        self._key, self._owner = LEASES + name, secrets.token_hex(16)
        self._client = connect(url, setting, limit)

    async def take(self, life: float) -> bool:
        return bool(await self._run(_TAKE_LEASE, self._owner, int(life * 1000)))

    async def leave(self) -> None:
        await self._run(_LEAVE_LEASE, self._owner)

    async def close(self) -> None:
        await self._client.aclose()

    async def _run(self, script: str, *args: object) -> int:
        return int(await answer_of(self._client.eval(script, 1, self._key, *args)))


def _keys(name: str) -> list[str]:
    """Return the keys of the lock and of the data; braces put both into one slot of a cluster."""
    session = f"{PREFIX}session:{{{name}}}"
    return [session + ":lock", session]


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
