"""Every field of an IVR and its holidays, declared: plan, apply, read back, drift, restore."""

from __future__ import annotations

import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver import (
    DeclarationError,
    Disa,
    Forward,
    Hangup,
    Holiday,
    Ivr,
    IvrOptions,
    MenuEntry,
    Receiver,
    RegistrationError,
)
from receiver.declarations.desired_ivr import holidays_of
from receiver.declarations.ivr import desired_ivrs
from receiver.pbx import models_ivr, models_shared
from receiver.pbx.models import write
from receiver.registration import plan_file
from receiver.registration.changes import Plan
from receiver.registration.registrar import Result, apply, make_plan
from receiver.registration.render import as_json, render
from receiver.simulator.model import Behaviour
from receiver.simulator.validation import Json
from receiver.testing import Phone
from tests.full_ivr import CHRISTMAS, MAY, OFFICE, PIN, full_ivr, full_options, paths, writable
from tests.registration.test_ivr_changes import BASE, SECRET, stored
from tests.simulated_pbx import Killed, Stage

with tempfile.TemporaryDirectory() as made:
    FULL = full_ivr(Path(made)).desired
    assert FULL is not None
    FILES: Json = {"prompt_file_id": "a", "transfer_prompt_file_id": "b"}
    FIELDS: Json = {**write(FULL.fields), **FILES}
    HOLIDAYS = {one.name: write(one) for one in FULL.holidays}
PATHS = [path for path in paths(FIELDS) if path[0] != "extension_number"]
OF_HOLIDAYS = [path for path in paths(HOLIDAYS) if path[1] != "name"]


async def plan(stage: Stage, *ivrs: Ivr) -> Plan:
    async with stage.client() as client:
        return await make_plan(client, (), BASE, SECRET, look=True, ivrs=desired_ivrs(ivrs))


async def run(stage: Stage, *ivrs: Ivr) -> Result:
    made = await plan(stage, *ivrs)
    async with stage.client() as client:
        return await apply(client, made, allow_deletes=True)


def holidays(stage: Stage) -> dict[str, Json]:
    return {str(one["name"]): {**one} for one in stage.pbx.holidays}


def another(value: Any, path: tuple[str | int, ...], stage: Stage) -> Any:
    """Return another value that a client might set by hand."""
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case []:
            by_hand = [one["id"] for one in stage.pbx.holidays]
            return by_hand if path[-1] == "holidays" else [{"from": "01:00", "to": "02:00"}]
    words = {"CUSTOM": "GLOBAL", "GLOBAL": "CUSTOM", "HANGUP": "REPEAT", "en-US": "de-DE"}
    return words.get(value, "HANGUP") if path[-1] == "action" else words.get(value, f"{value}1")


def change(data: Any, path: tuple[str | int, ...], stage: Stage) -> None:
    """Change the value at ``path`` on the PBX, as a person might."""
    for key in path[:-1]:
        data = data[key]
    data[path[-1]] = another(data[path[-1]], path, stage)


# all fields ----------------------------------------------------------------------------------


def test_every_field_that_a_client_can_set_can_be_declared(tmp_path: Path) -> None:
    """A new field of the model fails here until an option declares it."""
    assert full_options(tmp_path).keys() == IvrOptions.__annotations__.keys()
    declared = {tuple(key for key in path if isinstance(key, str)) for path in paths(FIELDS)}
    assert declared == set(writable(models_ivr.Ivr))
    of_holidays = {path[1] for path in paths(HOLIDAYS)}
    assert of_holidays == {path[0] for path in writable(models_shared.Holiday)}


BEHAVIOURS = [
    Behaviour(),
    Behaviour(update="replacing"),
    Behaviour(secrets="masked", blanks="empty"),
    Behaviour(blanks="null", nulls="ignored"),
]


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=["default", "replacing", "masked", "nulls"])
@pytest.mark.parametrize("there", [False, True], ids=["create", "update"])
async def test_what_is_declared_is_read_back_and_a_second_plan_is_empty(
    behaviour: Behaviour, there: bool, tmp_path: Path
) -> None:
    stage = Stage(*(["8000"] if there else []), behaviour=behaviour)
    first = await plan(stage, full_ivr(tmp_path))
    ops = ["create holiday Christmas", "create holiday Labour Day"]
    assert list(map(str, first.all)) == [*ops, f"{'update' if there else 'create'} IVR 8000"]
    assert (await run(stage, full_ivr(tmp_path))).done == first.all
    found, ids = stored(stage, "8000"), {name: one["id"] for name, one in holidays(stage).items()}
    sent = write(full_ivr(tmp_path).desired.with_holiday_ids(ids))  # type: ignore[union-attr]
    assert {key: found[key] for key in sent} == sent
    assert all(found[key] for key in FILES)
    assert {name: {**HOLIDAYS[name], "id": ids[name]} for name in ids} == holidays(stage)
    again = await plan(stage, full_ivr(tmp_path))
    assert not again.pending
    assert render(again).endswith("Nothing to do.")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recordings")


@pytest.mark.parametrize("path", PATHS, ids=lambda path: ".".join(map(str, path)))
async def test_a_field_that_was_changed_by_hand_is_seen_and_restored(
    path: tuple[str | int, ...], folder: Path
) -> None:
    stage = Stage()
    await run(stage, full_ivr(folder))
    before = write_of(stage)
    change(stage.pbx.ivrs.stored(stage.ivr("8000").id), path, stage)
    assert write_of(stage) != before
    drift = await plan(stage, full_ivr(folder))
    (seen,) = drift.pending
    assert str(seen) == "update IVR 8000"
    names = [one.field for one in seen.differences]
    assert names
    option = str(path[0]).removesuffix("_file_id")
    assert {name.partition(".")[0] for name in names} == {option}
    await run(stage, full_ivr(folder))
    assert write_of(stage) == before
    assert not (await plan(stage, full_ivr(folder))).pending


def write_of(stage: Stage) -> str:
    return repr(stored(stage, "8000"))


@pytest.mark.parametrize("path", OF_HOLIDAYS, ids=lambda path: ".".join(map(str, path)))
async def test_a_holiday_that_was_changed_by_hand_is_seen_and_restored(
    path: tuple[str | int, ...], folder: Path
) -> None:
    stage = Stage()
    await run(stage, full_ivr(folder))
    before = holidays(stage)
    key = str(before[str(path[0])]["id"])
    change(stage.pbx.holidays.stored(key), path[1:], stage)
    (seen,) = (await plan(stage, full_ivr(folder))).pending
    assert str(seen) == f"update holiday {path[0]}"
    assert [one.field for one in seen.differences] == [path[1]]
    await run(stage, full_ivr(folder))
    assert holidays(stage) == before


# what is not declared ------------------------------------------------------------------------


@pytest.mark.parametrize("option", sorted(IvrOptions.__annotations__.keys() - {"name"}))
async def test_an_option_changes_its_own_fields_only(option: str, tmp_path: Path) -> None:
    mine: Any = {"name": "Sales", option: full_options(tmp_path)[option]}  # type: ignore[literal-required]
    declared = Ivr("8000", **mine).desired
    assert declared is not None
    stage = Stage("8000")
    before = stored(stage, "8000")
    await run(stage, Ivr("8000", **mine))
    after = stored(stage, "8000")
    changed = {key for key in after if after[key] != before.get(key)}
    files = {f"{prompt}_file_id" for prompt in declared.prompts}
    sent = {*write(declared.fields, updating=True), *files}
    assert changed | {"enable_pin"} == sent | {"enable_pin"}  # on is its default


@pytest.mark.parametrize("behaviour", BEHAVIOURS[:2], ids=["default", "replacing"])
async def test_what_is_not_declared_stays(behaviour: Behaviour, folder: Path) -> None:
    stage = Stage(behaviour=behaviour)
    await run(stage, full_ivr(folder))
    before, there = stored(stage, "8000"), holidays(stage)
    options = full_options(folder)
    # A PBX that replaces loses prompts that are not declared, which cannot be read from it.
    lost = ("prompt", "transfer_prompt") if behaviour.update == "replacing" else ()
    prompts: Any = {key: options[key] for key in lost}  # type: ignore[literal-required]
    await run(stage, Ivr("8000", name="Service", **prompts))
    assert stored(stage, "8000") == {**before, "name": "Service"}
    assert holidays(stage) == there


async def test_a_menu_is_declared_whole_and_may_be_empty(folder: Path) -> None:
    stage = Stage()
    await run(stage, full_ivr(folder))
    (line,) = (await plan(stage, Ivr("8000", name="Sales", menu=[]))).pending
    texts = list(map(str, line.differences))
    assert "custom_forward_rules.9.office_hours_forward_rule: DISA → (none)" in texts
    assert (
        "custom_forward_rules.1.office_hours: mon-thu 08:30-12:30, 13:30-17:00; "
        "fri 08:30-15:00; sat 10:00-12:00; sun 14:00-16:00 → (none)" in texts
    )
    await run(stage, Ivr("8000", name="Sales", menu=[], outbound_caller_ids=[]))
    found = stored(stage, "8000")
    assert (found["custom_forward_rules"], found["outbound_caller_ids"]) == ([], [])
    assert len(holidays(stage)) == 2  # never deleted


async def test_the_order_of_a_menu_and_of_numbers_is_no_difference() -> None:
    one, two = MenuEntry("1", Forward("222")), MenuEntry("2", Hangup())
    stage = Stage()
    await run(stage, Ivr("8000", name="S", menu=[one, two], exclude_list=["1-2", "3"]))
    assert not (
        await plan(stage, Ivr("8000", name="S", menu=[two, one], exclude_list="3, 1-2"))
    ).pending


async def test_an_exclude_list_may_be_declared_empty(folder: Path) -> None:
    stage = Stage()
    await run(stage, full_ivr(folder))
    none = Ivr("8000", name="Sales", exclude_list=[])
    (line,) = (await plan(stage, none)).pending
    assert list(map(str, line.differences)) == ["exclude_list: 1001-2001;3000 → (none)"]
    await run(stage, none)
    assert not stored(stage, "8000")["exclude_list"]
    assert not (await plan(stage, none)).pending


# holidays ------------------------------------------------------------------------------------


async def test_a_holiday_of_the_pbx_is_looked_up_by_name_and_shared() -> None:
    stage = Stage()
    theirs = {"name": "Christmas", "region": "DEU", "consecutive": True, "every_year": True}
    other = stage.pbx.holidays.create({**theirs, "month_start": 1})
    same = stage.pbx.holidays.create(HOLIDAYS["Christmas"])
    entry = MenuEntry("1", Forward("222"), holidays=[CHRISTMAS], on_holiday=Hangup())
    ivrs = [Ivr(number, name="Sales", menu=[entry]) for number in ("8000", "8001")]
    made = await plan(stage, *ivrs)
    assert [str(one) for one in made.all] == [
        "unchanged holiday Christmas",
        "create IVR 8000",
        "create IVR 8001",
    ]
    await run(stage, *ivrs)
    for number in ("8000", "8001"):
        assert stored(stage, number)["custom_forward_rules"][0]["holidays"] == [same]
    assert {one["id"] for one in stage.pbx.holidays} == {other, same}


async def test_a_time_that_is_not_declared_stays_on_the_pbx() -> None:
    stage = Stage()
    key = stage.pbx.holidays.create({**HOLIDAYS["Christmas"], "hour_end": 9, "minute_end": 0})
    whole = Holiday("Christmas", "2026-12-24 to 2027-01-07", region="DEU")
    await run(stage, Ivr("8000", name="S", menu=[MenuEntry("1", Hangup(), holidays=[whole])]))
    found = stage.pbx.holidays.stored(key)
    assert (found["day_end"], found["hour_end"]) == (7, 9)


def test_two_holidays_of_one_name_are_refused() -> None:
    def ivr(number: str, *days: str) -> Ivr:
        found = [Holiday("Closed", one, region="DEU") for one in days]
        return Ivr(number, name="S", menu=[MenuEntry("1", Hangup(), holidays=found)])

    with pytest.raises(DeclarationError, match="two different holidays are named 'Closed'"):
        ivr("8000", "12-24", "12-25")
    declared = desired_ivrs([ivr("8000", "12-24"), ivr("8001", "12-25")])
    with pytest.raises(DeclarationError, match="two different holidays are named 'Closed'"):
        holidays_of(declared)
    assert (
        len(holidays_of(desired_ivrs([ivr("8000", "12-24", "12-24"), ivr("8001", "12-24")]))) == 1
    )


async def test_holidays_in_a_printed_plan_and_in_json() -> None:
    stage = Stage()
    entry = MenuEntry("1", Forward("222"), holidays=[MAY], on_holiday=Hangup())
    made = await plan(stage, Ivr("8000", name="Sales", menu=[entry]))
    assert render(made).splitlines()[:4] == [
        "+ holiday Labour Day",
        "      name: Labour Day",
        "      region: DEU",
        "      consecutive: no",
    ]
    (row,) = as_json(made)["holidays"]
    assert (row["op"], row["ivr"], row["name"], row["id"]) == ("create", None, "Labour Day", None)
    assert row["fields"][0] == {"field": "name", "from": "", "to": "Labour Day"}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_killed_at_every_request_it_goes_on(after: bool, folder: Path) -> None:
    whole = Stage()
    await run(whole, full_ivr(folder))
    for number in range(1, len(whole.transport.sent) + 1):
        stage = Stage()
        stage.transport.kill, stage.transport.after = number, after
        with pytest.raises(Killed):
            await run(stage, full_ivr(folder))
        await run(stage, full_ivr(folder))
        assert [one["name"] for one in stage.pbx.holidays] == ["Christmas", "Labour Day"]
        assert len(stage.pbx.files) == 2
        assert not (await plan(stage, full_ivr(folder))).pending


async def test_a_holiday_that_the_pbx_refuses_stops_the_rest(folder: Path) -> None:
    stage = Stage()
    made = await plan(stage, full_ivr(folder))
    stage.pbx.behaviour = Behaviour(rate=1)
    async with stage.client() as client:
        with pytest.raises(RegistrationError, match="create holiday Christmas failed"):
            await apply(client, made, allow_deletes=True)
    assert len(stage.pbx.ivrs) == 0


async def test_a_saved_plan_has_holidays_and_no_pin(folder: Path) -> None:
    stage = Stage()
    made = await plan(stage, full_ivr(folder))
    saved = plan_file.save(made, SECRET)
    assert PIN not in repr(saved.plan)
    assert PIN not in render(made)
    plan_file.check(saved, await plan(stage, full_ivr(folder)), SECRET)
    stage.pbx.holidays.create(HOLIDAYS["Christmas"])
    with pytest.raises(RegistrationError, match=r"\(holiday Christmas"):
        plan_file.check(saved, await plan(stage, full_ivr(folder)), SECRET)


async def test_a_simulated_phone_follows_a_declared_menu() -> None:
    ivr = Ivr(
        "8000",
        name="Sales",
        menu=[MenuEntry("1", Forward("222"), OFFICE, Hangup(), [MAY], Forward("0"))],
    )
    async with Phone(Receiver(ivr)) as phone:
        for now, outcome in (
            ("2026-11-30 10:00", "forwarded"),
            ("2026-11-30 13:00", "hung up"),
            ("2027-05-01 10:00", "forwarded"),
        ):
            phone.clock.now = datetime.fromisoformat(now)
            call = await phone.dial("8000")
            await call.press("1")
            assert call.outcome is not None
            assert call.outcome.kind == outcome
        assert call.forwarded_to == "0"


# the release of the PBX ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "lacking"),
    [
        (
            "22.2",
            "enable_night_mode (since 22.3), exclude_list (since 22.3), "
            "enable_audio_recording (since 22.6), "
            "outbound_caller_ids[0].display_name (since 22.6)",
        ),
        (
            "22.3.21",
            "enable_audio_recording (since 22.6), outbound_caller_ids[0].display_name (since 22.6)",
        ),
        ("22.6", ""),
        ("", ""),
    ],
)
async def test_a_field_that_the_release_lacks_is_refused_by_plan(
    version: str, lacking: str, folder: Path
) -> None:
    stage = Stage()
    stage.version = version
    if not lacking:
        assert (await plan(stage, full_ivr(folder))).pending
        return
    with pytest.raises(DeclarationError) as caught:
        await plan(stage, full_ivr(folder))
    assert caught.value.problem == (
        f"a PBX {version} (RECEIVER_PBX_VERSION) does not have {lacking}: leave out what declares "
        "it, or upgrade the PBX"
    )
    assert caught.value.where.startswith(full_ivr.__code__.co_filename)


# DISA ----------------------------------------------------------------------------------------


async def test_a_declared_menu_that_leads_to_disa_without_a_pin_is_warned_of() -> None:
    stage = Stage("8000")
    disa = [MenuEntry("9", Disa())]
    declared = Ivr("8000", name="Sales", menu=disa, enable_pin=False)
    leads = "IVR 8000: its menu key 9 leads to DISA and enable_pin is false"
    assert [one for one in (await plan(stage, declared)).warnings if one.startswith(leads)]
    stage.pbx.ivrs.stored(stage.ivr("8000").id)["enable_pin"] = False
    for options in ({"menu": disa}, {"menu": disa, "enable_pin": True}, {"enable_pin": False}):
        made = await plan(stage, Ivr("8000", name="Sales", **options))
        warned = any("leads to DISA" in one for one in made.warnings)
        assert warned == (options == {"menu": disa})


# any menu ------------------------------------------------------------------------------------

KEYS = st.text("0123456789", min_size=1, max_size=2)
RULES = st.sampled_from([Forward("222"), Hangup(), Disa()])
CLOCKS = st.integers(0, 23 * 60 + 58)
RANGES = st.tuples(CLOCKS, st.integers(1, 60)).map(
    lambda one: (one[0], min(one[0] + one[1], 23 * 60 + 59))
)
WEEKS = st.dictionaries(
    st.sampled_from(["mon", "tue", "wed", "thu", "fri", "sat", "sun"]),
    st.one_of(
        st.just("closed"),
        st.just("00:00-24:00"),
        RANGES.map(lambda one: "-".join(f"{n // 60:02}:{n % 60:02}" for n in one)),
    ),
    min_size=1,
)
HOLIDAY_SETS = st.lists(st.sampled_from([CHRISTMAS, MAY]), unique=True)
ENTRIES = st.builds(
    MenuEntry,
    KEYS,
    RULES,
    hours=st.none() | WEEKS,
    closed=st.none() | RULES,
    holidays=HOLIDAY_SETS,
    on_holiday=st.none() | RULES,
)
MENUS = st.lists(ENTRIES, max_size=3, unique_by=lambda entry: entry.key)


@given(before=MENUS, after=MENUS)
async def test_any_menu_replaces_any_other(before: list[MenuEntry], after: list[MenuEntry]) -> None:
    stage = Stage()
    await run(stage, Ivr("8000", name="S", menu=before))
    changed = await plan(stage, Ivr("8000", name="S", menu=after))
    keys = {entry.key: entry for entry in before}
    same = {entry.key: entry for entry in after} == keys
    assert ("update IVR 8000" in map(str, changed.pending)) == (not same)
    await run(stage, Ivr("8000", name="S", menu=after))
    assert not (await plan(stage, Ivr("8000", name="S", menu=after))).pending
