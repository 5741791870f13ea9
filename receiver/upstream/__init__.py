"""Asking other services, such as a CRM, while a caller is on the line.

`Client` sends requests that end within the call's time; `Lookup` remembers what was found, serves
it while it is renewed, and can be asked ahead. `Reloading` is for files and tables that change.
"""

from receiver.errors import UpstreamRefused
from receiver.upstream.client import Answer, Client
from receiver.upstream.lookups import Lookup
from receiver.upstream.reloading import Reloading, stamp

__all__ = ["Answer", "Client", "Lookup", "Reloading", "UpstreamRefused", "stamp"]
