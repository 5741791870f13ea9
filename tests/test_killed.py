"""Killed before and after every single request: the same command continues, and no call is lost."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from receiver import Call, Forward, Ivr, Receiver, Reply, Secret, Settings
from receiver.declarations.actions import Action
from receiver.pbx.models import write
from receiver.registration.desired import desired_action_urls
from receiver.registration.registrar import apply, make_plan
from receiver.registration.rotation import finish, plan_rotation, rotate
from receiver.simulator.line import Line
from receiver.simulator.model import Behaviour
from tests.simulated_pbx import Killed, Stage, destroy

BASE = "https://ivr.example.com/app"
SECRET = Secret("6d0f2c9ab17e4583f4c8d25e90ab3716")
NUMBERS = ("8000", "9000")
LONG = ";".join(str(n) for n in range(40000, 40080, 2))
LONGER = ";".join(str(n) for n in range(39998, 40160, 2))


async def handler(call: Call) -> Reply:
    return Forward("222")


def declare(*rows: tuple[str, str, str, dict[str, object]]) -> list[Action]:
    ivrs = {number: Ivr(number) for number in NUMBERS}
    for number, name, mask, options in rows:
        ivrs[number].add("DTMF", mask, handler, name=name, **options)  # type: ignore[arg-type]
    return [action for ivr in ivrs.values() for action in ivr]


OLD = declare(
    ("8000", "kept", "10-19", {}),
    ("8000", "keyed", "62", {"auth": "digest", "secret_header": "X-Key"}),
    ("8000", "locked", "63", {"auth": None, "secret_header": "X-Key"}),
    ("8000", "changed", "20", {"headers": {"X-Site": "north"}, "auth": "basic"}),
    ("8000", "left", "30;31", {}),
    ("8000", "right", "32;33", {}),
    ("8000", "old-name", "50-59", {}),
    ("8000", "dropped", "60", {}),
    ("8000", "long", LONG, {"auth": "digest"}),
    ("9000", "moving", "70", {}),
    ("9000", "stays", "80", {}),
    ("9000", "off", "90", {}),
)
NEW = declare(
    ("8000", "kept", "10-19", {}),
    ("8000", "keyed", "62", {"auth": "digest", "secret_header": "X-Key"}),
    ("8000", "locked", "63", {"auth": None, "secret_header": "X-Key"}),
    ("8000", "changed", "20;21", {"request_timeout": 5}),
    ("8000", "left", "32;33", {}),
    ("8000", "right", "30;31", {}),
    ("8000", "new-name", "50-59", {}),
    ("8000", "created", "61", {"method": "GET"}),
    ("8000", "long", LONGER, {"auth": "digest"}),
    ("8000", "moving", "70", {}),
    ("9000", "stays", "80;81", {}),
    ("9000", "off", "90", {"enabled": False}),
    ("9000", "instead", "90", {}),
)
ALWAYS = {
    "8000": ["10", "62", "63", "20", "30", "31", "32", "33", "50", "40000", "40048", "40078"],
    "9000": ["80", "90"],
}
"""Digits that are ours before and after."""


def make_stage(secrets: str = "clear") -> Stage:
    """Make a PBX with the action URLs of `OLD`, among those of others."""
    stage = Stage(*NUMBERS, behaviour=Behaviour(secrets=secrets))  # type: ignore[arg-type]
    stage.add("8000", name="crm", url="https://crm.example.com/hook", dtmf_mask="99", headers="a:b")
    for want in desired_action_urls(OLD, BASE, SECRET):
        stage.pbx.action_urls(stage.ivr(want.ivr).id).create(write(want.action))
    stage.add("9000", name="stays2", url="https://other.example.com/action/9000/stays2")
    return stage


async def run(stage: Stage, actions: list[Action]) -> None:
    async with stage.client() as client:
        plan = await make_plan(client, actions, BASE, SECRET)
        await apply(client, plan, allow_deletes=True)


async def is_settled(stage: Stage, actions: list[Action]) -> bool:
    async with stage.client() as client:
        return not (await make_plan(client, actions, BASE, SECRET)).pending


def unanswered(stage: Stage) -> list[str]:
    """Return the digits that were answered before, and now are not."""
    return [
        f"{number}: {digits}"
        for number, all in ALWAYS.items()
        for digits in all
        if (found := stage.pbx.fires(number, "DTMF", digits)) is None
        or not found.url.startswith(BASE)
    ]


async def test_the_plan_has_a_bit_of_everything() -> None:
    stage = make_stage()
    async with stage.client() as client:
        plan = await make_plan(client, NEW, BASE, SECRET)
    ops = [change.op for change in plan.changes]
    assert {op: ops.count(op) for op in set(ops)} == {
        "create": 5,
        "update": 6,
        "delete": 3,
        "unchanged": 3,
        "unmanaged": 2,
    }
    await run(stage, NEW)
    names = ["changed", "created", "crm", "kept", "keyed", "left", "locked", "long", "long~2"]
    assert stage.names("8000") == [*names, "moving", "new-name", "right"]
    assert stage.names("9000") == ["instead", "off", "stays", "stays2"]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_apply_killed_at_every_request_goes_on(after: bool) -> None:
    whole = make_stage()
    await run(whole, NEW)
    total = len(whole.transport.sent)
    assert total == 3 + 15 + 2  # read, write (both masks for a moment in one), read back
    for number in range(1, total + 1):
        stage = make_stage()
        foreign = stage.unmanaged(NUMBERS, BASE)
        stage.transport.kill, stage.transport.after = number, after
        with pytest.raises(Killed):
            await run(stage, NEW)
        assert unanswered(stage) == [], f"request {number}: {stage.transport.sent[-1]}"
        await run(stage, NEW)
        for ivr in NUMBERS:
            assert stage.names(ivr) == whole.names(ivr), f"request {number}"
        assert stage.unmanaged(NUMBERS, BASE) == foreign
        assert await is_settled(stage, NEW)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_destroy_killed_at_every_request_goes_on(after: bool) -> None:
    whole = make_stage()
    async with whole.client() as client:
        await destroy(client, BASE)
    for number in range(1, len(whole.transport.sent) + 1):
        stage = make_stage()
        foreign = stage.unmanaged(NUMBERS, BASE)
        stage.transport.kill, stage.transport.after = number, after
        with pytest.raises(Killed):
            async with stage.client() as client:
                await destroy(client, BASE)
        async with stage.client() as client:
            await destroy(client, BASE)
        assert [stage.names(ivr) for ivr in NUMBERS] == [["crm"], ["stays2"]]
        assert stage.unmanaged(NUMBERS, BASE) == foreign


# rotate --------------------------------------------------------------------------------------


class Service:
    """Services of several epochs, asked by the simulated PBX."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    async def refused(self, epoch: int) -> list[str]:
        """The callbacks that a service of ``epoch`` does not answer as it should."""
        settings = Settings(secret=SECRET, public_url=BASE, epoch=epoch)
        ivrs = [Ivr(number) for number in NUMBERS]
        for action in OLD:
            ivr = ivrs[NUMBERS.index(action.ivr)]
            ivr.add(
                action.kind,
                str(action.mask),
                handler,
                name=action.name,
                auth=action.auth,
                secret_header=action.secret_header,
            )
        app = Receiver(*ivrs, settings=settings)
        transport = httpx.ASGITransport(_below(app, "/app"))
        line = Line(self._stage.pbx, transport=transport)
        bad = []
        for number, all in ALWAYS.items():
            for digits in all:
                call = await line.dial(number, caller="101")
                step = await call.press(digits)
                if step.outcome.kind != "forwarded":
                    bad.append(f"{number}: {digits}: {step.outcome}")
        return bad


def _below(app: Receiver, prefix: str) -> Any:
    """Remove ``prefix`` from the path, as a proxy does."""

    async def proxy(scope: Any, receive: Any, send: Any) -> None:
        path = str(scope["path"]).removeprefix(prefix)
        await app({**scope, "path": path, "raw_path": path.encode()}, receive, send)

    return proxy


async def turn(stage: Stage, *, end: bool = False) -> None:
    async with stage.client() as client:
        plan = await plan_rotation(client, OLD, BASE, SECRET, 1)
        await (finish if end else rotate)(client, plan)


@pytest.mark.parametrize("secrets", ["clear", "masked"])
async def test_a_rotation_from_end_to_end(secrets: str) -> None:
    stage = make_stage(secrets)
    service = Service(stage)
    assert await service.refused(1) == []
    assert len(await service.refused(2)) == 14
    await turn(stage)
    assert await service.refused(1) == []
    assert await service.refused(2) == []
    assert await is_settled(stage, OLD)  # apply leaves in peace what is at the next epoch
    stage.transport.sent.clear()
    await turn(stage)
    await turn(stage, end=True)
    writes = [line for line in stage.transport.sent if line.startswith("POST")]
    assert len(writes) == (0 if secrets == "clear" else 22)
    assert await service.refused(2) == []
    assert len(await service.refused(3)) == 14


@pytest.mark.parametrize("secrets", ["clear", "masked"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_rotate_killed_at_any_request_refuses_no_callback(after: bool, secrets: str) -> None:
    whole = make_stage(secrets)
    await turn(whole)
    for number in range(1, len(whole.transport.sent) + 1):
        stage = make_stage(secrets)
        foreign = stage.unmanaged(NUMBERS, BASE)
        service = Service(stage)
        stage.transport.kill, stage.transport.after = number, after
        with pytest.raises(Killed):
            await turn(stage)
        assert await service.refused(1) == []
        await turn(stage)
        await turn(stage, end=True)
        assert await service.refused(1) == []
        assert await service.refused(2) == []
        assert stage.unmanaged(NUMBERS, BASE) == foreign
