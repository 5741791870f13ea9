"""On what terms a CRM is asked: what every connector takes besides its own options.

Rule: these options, their types and what is said of them stand here and nowhere else. A connector
      takes them as ``**options: Unpack[Options]``; what counts without them are its ``defaults``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from handlers.crm.pace import Pace
from receiver.upstream import Client


class Options(TypedDict, total=False):
    """As keywords, and as keys of a configuration file.

    Keys:
        name: of the connector, if an app has two of its kind.
        per_second: requests that the CRM allows.
        workers: processes that share what it allows, on all machines; 0 for those of this one.
        timeout: seconds for one request; the call's own time counts as well.
        ca: a PEM file with the certificate of a private authority.
    """

    name: str
    per_second: float
    workers: int
    timeout: float
    ca: str | Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """`Options`, and what counts where one is not given."""

    name: str
    per_second: float = 10.0
    workers: int = 0
    timeout: float = 1.0
    ca: str | Path | None = None

    def pace(self, burst: int = 10) -> Pace:
        """A new one; ``burst`` and errors as for `Pace`."""
        return Pace(self.per_second, burst, self.workers)

    def client(self, url: str = "", headers: Mapping[str, str] | None = None) -> Client:
        """A new one, which asks ``url`` with these headers; errors as for `Client`."""
        return Client(url, headers=headers, timeout=self.timeout, ca=self.ca)
