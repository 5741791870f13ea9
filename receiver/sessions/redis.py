"""The sessions that several machines share: Redis.

Rule 1: sessions and locks expire by themselves, by Redis's own clock.
Rule 2: nothing bounds their number but their life and the memory that Redis is given; only who
        knows an action's password makes any. A Redis that runs full says so (its policy
        ``noeviction``), and one that evicts keys instead makes calls forget.
"""

from __future__ import annotations

from receiver.secrets import Secret
from receiver.sessions.shelf import LEASE
from receiver.shared.server import PREFIX, ask, connect

_TAKE = """
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return false end
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return redis.call('GET', KEYS[2]) or ''
"""
_GIVE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
if ARGV[3] == 'leave' then redis.call('PEXPIRE', KEYS[2], ARGV[2])
elseif ARGV[4] == '' then redis.call('DEL', KEYS[2])
else redis.call('SET', KEYS[2], ARGV[4], 'PX', ARGV[2]) end
return 1
"""


class Redis:
    """A `Shelf` in the Redis at ``url``, which is first connected to when it is first asked.

    Parameters:
        url: ``redis://``, ``rediss://`` or ``unix://``; it may hold a password.

    Raises:
        SettingsError: redis-py cannot read the URL.
    """

    def __init__(self, url: Secret) -> None:
        self._client = connect(url)
        self._take = self._client.register_script(_TAKE)
        self._give = self._client.register_script(_GIVE)

    async def take(self, name: str, token: str, life: float) -> bytes | None:
        args = [token, _milliseconds(LEASE), _milliseconds(LEASE + life)]
        data = await ask(self._take(keys=_keys(name), args=args))
        return None if data is None else bytes(data)

    async def give(self, name: str, token: str, data: bytes | None, life: float) -> bool:
        args = [token, _milliseconds(life), "leave" if data is None else "save", data or b""]
        return bool(await ask(self._give(keys=_keys(name), args=args)))

    async def close(self) -> None:
        await self._client.aclose()


def _keys(name: str) -> list[str]:
    """Of the lock and of what lies there; braces put both into one slot of a cluster."""
    session = f"{PREFIX}session:{{{name}}}"
    return [session + ":lock", session]


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
