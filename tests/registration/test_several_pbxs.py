"""One app for several PBXs: each with its own URL, credentials and fallback, and none in reach of
another."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from receiver import Call, Forward, Hangup, Ivr, Receiver, Repeat, Reply, Secret, Settings
from receiver.config.load_app import find_ivr
from receiver.credentials import derive
from receiver.declarations.actions import Action, split_path
from receiver.errors import DeclarationError, LoadError, RegistrationError, SettingsError
from receiver.registration.desired import desired_action_urls
from receiver.registration.doctor import Case, examine
from receiver.registration.lints import declared
from receiver.registration.plans import plan
from receiver.registration.probe import make_callback_client
from receiver.registration.registrar import apply, make_plan
from receiver.registration.rotation import plan_rotation, rotate
from receiver.registration.urls import is_below
from receiver.settings import unknown_settings
from tests.simulated_pbx import Stage, destroy

SECRET = Secret("6d0f2c9ab17e4583f4c8d25e90ab3716")
BASE = "https://ivr.example.com/calls"
LABELS = ("north", "south", "")


async def fails(call: Call) -> Reply:
    raise RuntimeError


def make_ivr(label: str = "", number: str = "8000", **options: Any) -> Ivr:
    ivr = Ivr(number, pbx=label)
    ivr.add("DTMF", "1;22", fails, name="pick", **options)
    return ivr


def make_app(**options: Any) -> Receiver:
    return Receiver(*map(make_ivr, LABELS), **{"settings": Settings(secret=SECRET), **options})


# declared ------------------------------------------------------------------------------------


def test_the_label_is_part_of_identity_path_and_credentials() -> None:
    actions = list(make_app())
    assert [action.identity for action in actions] == [
        "north/8000/pick",
        "south/8000/pick",
        "8000/pick",
    ]
    assert [action.url(BASE, 2) for action in actions] == [
        f"{BASE}/action/north/8000/pick/2",
        f"{BASE}/action/south/8000/pick/2",
        f"{BASE}/action/8000/pick/2",
    ]
    assert len({derive(SECRET, action.identity).token for action in actions}) == 3
    assert repr(Ivr("8000", pbx="north")) == "Ivr('8000', pbx='north')"
    assert make_app().pbxs == LABELS
    assert Receiver().pbxs == ("",)


@pytest.mark.parametrize("label", ["North", "1north", "n-s", "n" * 17, "é", " ", None, 1, "a/b"])
def test_a_label_is_short_and_plain(label: Any) -> None:
    with pytest.raises(DeclarationError, match=r"test_several_pbxs.py:\d+: pbx= is a label"):
        Ivr("8000", pbx=label)


def test_one_number_on_two_pbxs_is_two_ivrs() -> None:
    Receiver(make_ivr("north"), make_ivr("south"))
    with pytest.raises(DeclarationError, match="has an action named 'pick' already"):
        Receiver(make_ivr("north"), make_ivr("north"))
    short, long = Ivr("8000", pbx="north"), Ivr("8000", pbx="south")
    short.add("DTMF", "2", fails)
    long.add("DTMF", "22", fails)
    assert declared(Receiver(short, long)) == ()


def test_the_number_format_of_each_pbx_counts_for_warnings() -> None:
    ivrs = [Ivr("8000", pbx=label) for label in ("north", "south")]
    for ivr in ivrs:
        ivr.add("CALLER", "+4930*****", fails, name="pick")
    plain = Settings(secret=SECRET)
    app = Receiver(*ivrs, settings={"north": replace(plain, number_format="national"), "": plain})
    (warning,) = declared(app, app.number_formats())
    assert warning.startswith("north/8000/pick matches")
    assert "RECEIVER_NUMBER_FORMAT says national, so no number has a +" in warning


def test_the_label_counts_among_the_128_characters() -> None:
    url = Ivr("8" * 20, pbx="n" * 16).add("DTMF", "1", fails, name="a" * 62).url("http://host")
    assert len(url) == 119
    with pytest.raises(DeclarationError, match="characters, the PBX takes 128"):
        Ivr("8" * 20, pbx="n" * 16).add("DTMF", "1", fails, name="é" * 64)


def test_a_part_is_distinguished_from_an_action_named_by_digits() -> None:
    assert split_path("/action/north/8000/pick/2") == (
        "/action/north/8000/pick",
        "north/8000/pick",
        "north",
        2,
    )
    assert split_path("/action/north/8000/22") == (
        "/action/north/8000/22",
        "north/8000/22",
        "north",
        1,
    )
    assert split_path("/action/8000/22/3") == ("/action/8000/22", "8000/22", "", 3)


@pytest.mark.parametrize("option", ["fallback", "settings"])
def test_a_mapping_for_an_unknown_label_is_refused(option: str) -> None:
    value = Repeat() if option == "fallback" else Settings(secret=SECRET)
    with pytest.raises(DeclarationError, match=f"{option} has 'nroth', .* 'north', 'south', ''"):
        make_app(**{option: {"nroth": value}})
    with pytest.raises(DeclarationError, match="fallback must be a reply"):
        make_app(fallback={"north": "0"})


# whose is it ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        ("/action/8000/pick", ""),
        ("/action/8000/pick/2", ""),
        ("/action/north/8000/pick", "north"),
        ("/action/north/8000/pick/2", "north"),
        ("/action/north/8000/22", "north"),
        ("/action/south/8000/pick", "south"),
        ("/action/north/south/8000/pick", None),
        ("/action/north/8000", None),
        ("/action/north/8000/..", None),
        ("/action/NORTH/8000/pick", None),
        ("/action//8000/pick", ""),
        ("/action/northern/8000/pick", None),
    ],
)
def test_each_pbx_owns_its_own_shape_only(path: str, owner: str | None) -> None:
    assert [x for x in LABELS if is_below(BASE + path, BASE, x)] == [owner] * (owner is not None)


def test_actions_for_another_pbx_are_not_wanted() -> None:
    app = make_app()
    names = [item.identity for item in desired_action_urls(app, BASE, SECRET, pbx="south")]
    assert names == ["south/8000/pick"]
    strange, ivr = desired_action_urls(app, BASE, SECRET, pbx="south"), Stage("8000").ivr("8000")
    with pytest.raises(SettingsError, match="does not lie below"):
        plan(strange, [(ivr, [])], BASE, pbx="north")


# settings ------------------------------------------------------------------------------------

COMMON = {"URL": "https://pbx", "TOKEN": "t", "DOMAIN": "common", "INSECURE": "yes"}


def read(label: str, **own: str) -> Settings:
    environ = {f"RECEIVER_PBX_{key}": value for key, value in COMMON.items()}
    return Settings.read(
        environ | {f"RECEIVER_NORTH_{k}": v for k, v in own.items()}, None, pbx=label
    )


def test_a_pbx_has_its_own_settings_and_else_the_common_ones() -> None:
    north = read("north", PBX_URL="https://north/", PUBLIC_URL="http://in", PBX_INSECURE="no")
    assert (north.pbx_url, north.public_url, north.pbx_insecure) == (
        "https://north",
        "http://in",
        False,
    )
    assert (north.pbx_token, north.pbx_domain) == (Secret("t"), "common")
    assert read("south", PBX_URL="https://north") == read("") == read("north")


def test_half_a_login_of_another_pbx_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    north = read("north", PBX_USERNAME="admin", PBX_PASSWORD="p", PBX_CA=str(tmp_path / "ca.pem"))
    assert (north.pbx_token, north.pbx_username, north.pbx_insecure) == (Secret(""), "admin", False)


def test_what_is_not_about_a_pbx_is_common() -> None:
    own = Settings(secret=Secret("e81b5c3f70a94d26b3f7091ac5d64e28"), epoch=7, pbx_url="https://n")
    app = make_app(settings={"": Settings(secret=SECRET, pbx_url="https://a"), "north": own})
    north = app.settings_for("north")
    assert (north.secret, north.epoch, north.pbx_url) == (SECRET, 1, "https://n")
    assert app.settings_for("south").pbx_url == app.settings_for("").pbx_url == "https://a"
    first = Receiver(make_ivr("north"), settings={"north": own})
    assert first.settings_for("north") == first.settings == own


def test_the_environment_is_read_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECEIVER_SECRET", SECRET.reveal())
    monkeypatch.setenv("RECEIVER_NORTH_PBX_URL", "https://north")
    app = make_app(settings=None)
    assert [app.settings_for(label).pbx_url for label in LABELS] == ["https://north", "", ""]


def test_own_variables_are_no_misspellings_but_may_be_misspelt() -> None:
    good = {"RECEIVER_N1_PBX_PASSWORD": "x", "RECEIVER_NORTH_PUBLIC_URL": "x"}
    assert unknown_settings(good) == {}
    assert unknown_settings({"RECEIVER_NORTH_PBX_TOKN": "x"}) == {
        "RECEIVER_NORTH_PBX_TOKN": "RECEIVER_NORTH_PBX_TOKEN"
    }


# served --------------------------------------------------------------------------------------


async def post(app: Receiver, path: str, action: Action) -> tuple[int, str]:
    token = derive(SECRET, action.identity).token.reveal()
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
        answer = await client.post(path, json={"to": "8000", "input": "1"}, headers=headers)
        return answer.status_code, answer.json().get("destination", "") if answer.content else ""


async def test_each_pbx_has_its_own_credentials_and_fallback() -> None:
    app = make_app(fallback={"north": Forward("100"), "": Forward("0")})
    north, south, common = app
    assert await post(app, north.path, north) == (200, "100")
    assert await post(app, south.path, south) == (200, "0")
    assert await post(app, common.path, common) == (200, "0")
    assert (await post(app, north.path, south))[0] == 401
    assert (await post(app, common.path, north))[0] == 401
    assert await post(app, f"{north.path}/2", north) == (200, "100")


async def test_the_fallback_of_the_action_comes_first() -> None:
    app = Receiver(
        make_ivr("north", fallback=Forward("7")),
        fallback={"north": Hangup()},
        settings=Settings(secret=SECRET),
    )
    assert app.fallback == Repeat()
    assert await post(app, next(iter(app)).path, next(iter(app))) == (200, "7")


# registered ----------------------------------------------------------------------------------


async def register(stage: Stage, app: Receiver, label: str) -> int:
    made = await make_plan(stage.client(), app, BASE, SECRET, pbx=label)
    return len((await apply(stage.client(), made, allow_deletes=True)).done)


async def test_one_app_on_two_pbxs() -> None:
    app, stages = make_app(), {label: Stage("8000") for label in LABELS}
    for label, stage in stages.items():
        assert await register(stage, app, label) == 1
        assert await register(stage, app, label) == 0
    found = {label: stage.action_urls("8000")[0] for label, stage in stages.items()}
    assert found["north"].url == f"{BASE}/action/north/8000/pick"
    assert len({item.token for item in found.values()}) == 3


async def test_two_labels_on_one_pbx_leave_each_other_alone() -> None:
    stage = Stage("8000", "9000")
    app = Receiver(
        make_ivr("north"), make_ivr("south", "9000"), make_ivr("", "9000", enabled=False)
    )
    south = Receiver(Ivr("9000", pbx="south"))
    south.ivrs[0].add("DTMF", "1", fails, name="other")
    assert await register(stage, app, "north") == 1
    assert await register(stage, south, "south") == 1
    assert await register(stage, app, "") == 1
    assert stage.names("9000") == ["other", "pick"]
    made = await make_plan(stage.client(), app, BASE, SECRET, pbx="north")
    assert [change.op for change in made.changes] == ["unchanged", "unmanaged", "unmanaged"]
    assert len((await destroy(stage.client(), BASE, pbx="south")).done) == 1
    assert (stage.names("8000"), stage.names("9000")) == (["pick"], ["pick"])


async def test_an_action_url_without_a_label_is_taken_over_only_on_request() -> None:
    stage, before, after = Stage("8000"), Receiver(make_ivr()), Receiver(make_ivr("north"))
    await register(stage, before, "")
    old = stage.action_urls("8000")[0]
    with pytest.raises(RegistrationError, match="--take-over"):
        await register(stage, after, "north")
    made = await make_plan(stage.client(), after, BASE, SECRET, take_over=True, pbx="north")
    await apply(stage.client(), made, allow_deletes=False)
    new = stage.action_urls("8000")[0]
    assert (new.id, new.url) == (old.id, f"{BASE}/action/north/8000/pick")


async def test_rotation_and_doctor_look_at_one_pbx() -> None:
    app, stage = make_app(), Stage("8000")
    await register(stage, app, "north")
    made = await plan_rotation(stage.client(), app, BASE, SECRET, 1, pbx="north")
    await rotate(stage.client(), made)
    token = stage.action_urls("8000")[0].token
    assert token == derive(SECRET, "north/8000/pick", 2).token
    case = Case(tuple(app), BASE, SECRET, pbx="north")
    callbacks = make_callback_client(httpx.ASGITransport(Mounted(app)))
    findings = await examine(case, stage.client(), callbacks)
    assert [(item.level, item.subject) for item in findings[1:]] == [
        ("ok", "IVR 8000 IVR 8000"),
        ("ok", "8000/pick"),
    ]


class Mounted:
    """A proxy that takes the path of `BASE` away."""

    def __init__(self, app: Receiver) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app({**scope, "path": scope["path"].removeprefix("/calls")}, receive, send)


def test_which_ivr_is_dialled() -> None:
    app = make_app()
    assert (find_ivr(app, "north/8000"), find_ivr(app, "8000")) == (("north", "8000"), ("", "8000"))
    assert find_ivr(Receiver(make_ivr("north")), "8000") == ("north", "8000")
    with pytest.raises(LoadError, match=re.escape("choose one of north/8000, south/8000, 8000")):
        find_ivr(app, "west/8000")


def test_a_tenant_belongs_to_its_account() -> None:
    common = {f"RECEIVER_PBX_{key}": value for key, value in COMMON.items() if key != "DOMAIN"}
    common["RECEIVER_PBX_TENANT"] = "7"

    def north(**own: str) -> Settings:
        environ = common | {f"RECEIVER_NORTH_PBX_{key}": value for key, value in own.items()}
        return Settings.read(environ, None, pbx="north")

    assert north().pbx_tenant == "7"
    assert (north(TENANT="8").pbx_tenant, north(TENANT="8").pbx_token) == ("8", Secret("t"))
    assert north(TOKEN="other").pbx_tenant == ""
    assert (north(DOMAIN="a.example").pbx_tenant, north(DOMAIN="a.example").pbx_domain) == (
        "",
        "a.example",
    )
    assert read("north", PBX_TENANT="8").pbx_domain == ""
