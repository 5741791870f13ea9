"""From a table of a configuration file to a connector."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from handlers.crm.contacts import Crm
from handlers.crm.kinds import KINDS, connect, connector_of
from handlers.crm.pipedrive import Pipedrive
from handlers.crm.zoho import Zoho
from receiver import DeclarationError, Secret


class Own:
    """A connector of the user's."""

    name = "own"

    def __init__(self, **options: Any) -> None:
        self.options = options


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_a_connector(kind: str) -> None:
    connector: Any = connector_of(kind)
    assert {"find", "owner", "log"} <= set(dir(connector))
    assert connector.defaults.name == kind


def test_a_table_becomes_a_connector() -> None:
    crm: Crm = connect({"kind": "pipedrive", "token": Secret("token-of-a-table"), "name": "south"})
    assert isinstance(crm, Pipedrive)
    assert crm.name == "south"


def test_ones_own_is_named_by_its_place() -> None:
    crm: Any = connect({"kind": f"{__name__}:Own", "any": 1})
    assert crm.options == {"any": 1}


def test_another_wheel_offers_one_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = tmp_path / "acme_crm-1.0.dist-info"
    wheel.mkdir()
    (wheel / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-crm\nVersion: 1.0\n")
    offered = f"[receiver.crms]\nacme = {__name__}:Own\nzoho = {__name__}:Own\n"
    (wheel / "entry_points.txt").write_text(offered)
    monkeypatch.syspath_prepend(tmp_path)
    assert connector_of("acme") is Own
    assert connector_of("zoho") is Zoho


def test_all_that_is_wrong_is_told_at_once_without_the_values() -> None:
    with pytest.raises(DeclarationError) as caught:
        connect({"kind": "pipedrive", "tokken": "a-secret-in-the-wrong-place", "workrs": 1})
    assert str(caught.value) == (
        "crm: kind='pipedrive': there is no option tokken (is token meant?); "
        "there is no option workrs (is workers meant?); token is missing"
    )


@pytest.mark.parametrize(("kind", "said"), [
    ("pipedrve", "is pipedrive meant"),
    ("sap", "none of hubspot, odoo"),
    ("no.such.module:Class", "there is no Class in no.such.module"),
    ("handlers.crm.zoho:Zoo", "there is no Zoo in handlers.crm.zoho"),
    ("handlers.crm.kinds:KINDS", "is no class"),
])  # fmt: skip
def test_a_kind_that_there_is_not(kind: str, said: str) -> None:
    with pytest.raises(DeclarationError, match=said):
        connect({"kind": kind})


@pytest.mark.parametrize("table", [{}, {"token": "x"}, {"kind": 1}, "hubspot"])
def test_a_table_without_a_kind(table: Any) -> None:
    with pytest.raises(DeclarationError, match="kind="):
        connect(table)
