"""A plugin that runs tests with httpx2 in the place of httpx: ``pytest -p tests.with_httpx2``.

It is loaded before any other module imports httpx.
"""

import httpx2

httpx2.alias_httpx()
