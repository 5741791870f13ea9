"""Each CRM behind the handler that callers meet: the owner's extension, or a way out in time."""

from __future__ import annotations

from typing import Any

import pytest

from handlers.crm.lookup import CallerLookup
from receiver import Forward
from tests.handlers.crm.connected import Stage
from tests.handlers.crm.test_crm_connectors import add
from tests.upstream.stage import Timed

pytestmark = pytest.mark.asyncio(loop_scope="module")


def lookup(stage: Stage) -> CallerLookup:
    owners = {"ada@example.com": "201"}
    return CallerLookup(stage.crm, owners=owners, unknown="8000", region="DE", log="never")


async def test_a_caller_is_forwarded_to_the_owner(stage: Stage) -> None:
    add(stage)
    call = Timed(caller="03023125000", ivr="8001", left=30.0)
    assert await lookup(stage)(call) == Forward("201")


@pytest.mark.parametrize("trouble", ["down", "slow", "garbage", "odd", "throttled"])
async def test_faults_of_the_crm_lead_to_the_default_route(stage: Stage, trouble: Any) -> None:
    add(stage)
    stage.fake.trouble = trouble
    left = 0.3 if trouble == "slow" else 30.0
    call = Timed(caller="03023125000", ivr="8001", left=left)
    assert await lookup(stage)(call) == Forward("8000")
