"""What a variable such as RECEIVER_STORE names.

Nothing (one worker, its own memory), a path (the workers of one machine, a SQLite file) or the URL
of a Redis (several machines).
"""

from __future__ import annotations

import importlib
import os
import re
from pathlib import Path

from receiver.errors import SettingsError
from receiver.secrets import Secret
from receiver.shared.patience import SETTING

_URL = re.compile(r"[A-Za-z0-9+.-]*:")  # of a URL, and of what SQLite takes for one
_REDIS = ("redis://", "rediss://", "unix://")


def read_place(where: Secret, setting: str = SETTING) -> Path | Secret | None:
    """The path of a file, the URL of a Redis, or None for this process's own memory.

    Parameters:
        where: empty, a path, or the URL of a Redis, which may hold a password.
        setting: the variable that says so, for the text of errors.

    Raises:
        SettingsError: it is none of these, or the package for Redis is missing.
    """
    text = where.reveal()
    if not text:
        return None
    if text.lower().startswith(_REDIS):
        try:
            importlib.import_module("redis.asyncio")  # an extra, and slow to import
        except ImportError:
            raise SettingsError(
                f"{setting} names a Redis, for which a package is missing: "
                "pip install 'portsip-receiver[redis]'"
            ) from None
        return where
    if _URL.match(text):
        raise SettingsError(
            f"{setting} is neither the path of a file nor a URL that begins with "
            + ", ".join(_REDIS)
        )
    try:
        path = Path(text).expanduser().absolute()
    except RuntimeError:  # a home directory of nobody
        raise SettingsError(f"{setting} begins with a ~ that stands for nothing here") from None
    if os.path.exists(path) and not os.path.isfile(path):  # these two raise nothing
        raise SettingsError(f"{setting} names something that is no file")
    return path
