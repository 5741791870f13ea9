"""Asking other services, such as a CRM, while a caller is on the line.

`Client` sends requests that end within the call's time; `Lookup` remembers what was found, serves
it while it is renewed, and can be asked ahead.
"""

from receiver.upstream.client import Answer, Client
from receiver.upstream.lookups import Lookup

__all__ = ["Answer", "Client", "Lookup"]
