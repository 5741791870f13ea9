"""Where something shared is kept: the path of a file, or the URL of a Redis."""

from __future__ import annotations

from pathlib import Path

from receiver.errors import SettingsError
from receiver.secrets import Secret

_REDIS = ("redis://", "rediss://", "unix://")


def path_of(where: Secret, setting: str) -> Path | None:
    """The path that ``where`` is, or None if it is the URL of a Redis.

    Parameters:
        where: what the variable says; a URL may hold a password.
        setting: the variable, for the text of errors.

    Raises:
        SettingsError: it is neither, or redis-py is not installed.
    """
    text = where.reveal()
    if text.lower().startswith(_REDIS):
        _need_redis(setting)
        return None
    if "://" in text:
        raise SettingsError(
            f"{setting} is neither the path of a file nor a URL that begins with "
            + ", ".join(_REDIS)
        )
    try:
        return Path(text).expanduser()
    except RuntimeError:  # a home directory of nobody
        raise SettingsError(f"{setting} begins with a ~ that stands for nothing here") from None


def _need_redis(setting: str) -> None:
    try:
        import redis.asyncio  # noqa: F401, PLC0415 - an extra, and slow to import
    except ImportError:
        raise SettingsError(
            f"{setting} names a Redis, for which a package is missing: "
            "pip install 'portsip-receiver[redis]'"
        ) from None
