"""A Redis for the tests of events."""

from __future__ import annotations

from tests.background.conftest import redis_server

__all__ = ["redis_server"]
