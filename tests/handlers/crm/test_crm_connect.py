"""Creating a connector from a table of a configuration file."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from handlers.crm.connectors import CONNECTORS, connect, connector_of
from handlers.crm.contacts import Crm
from handlers.crm.pipedrive import Pipedrive
from handlers.crm.zoho import Zoho
from receiver import DeclarationError, Secret


class Own:
    """A user's connector."""

    name = "own"

    def __init__(self, **options: Any) -> None:
        self.options = options


@pytest.mark.parametrize("name", CONNECTORS)
def test_each_built_in_one_is_a_connector(name: str) -> None:
    connector: Any = connector_of(name)
    assert {"find", "owner", "log"} <= set(dir(connector))
    assert connector.defaults.name == name


def test_connect_creates_a_connector() -> None:
    crm: Crm = connect(
        {"connector": "pipedrive", "token": Secret("token-of-a-table"), "name": "south"}
    )
    assert isinstance(crm, Pipedrive)
    assert crm.name == "south"


def test_a_class_is_named_by_its_module() -> None:
    crm: Any = connect({"connector": f"{__name__}:Own", "any": 1})
    assert crm.options == {"any": 1}


def test_an_entry_point_provides_a_connector_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = tmp_path / "acme_crm-1.0.dist-info"
    wheel.mkdir()
    (wheel / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-crm\nVersion: 1.0\n")
    offered = f"[receiver.crms]\nacme = {__name__}:Own\nzoho = {__name__}:Own\n"
    (wheel / "entry_points.txt").write_text(offered)
    monkeypatch.syspath_prepend(tmp_path)
    assert connector_of("acme") is Own
    assert connector_of("zoho") is Zoho


def test_all_problems_are_reported_without_values() -> None:
    with pytest.raises(DeclarationError) as caught:
        connect({"connector": "pipedrive", "tokken": "a-secret-in-the-wrong-place", "workrs": 1})
    assert str(caught.value) == (
        "crm: connector='pipedrive': unknown option tokken (did you mean token?); "
        "unknown option workrs (did you mean workers?); token is missing"
    )


@pytest.mark.parametrize(("name", "text"), [
    ("pipedrve", "did you mean pipedrive"),
    ("sap", "not one of hubspot, odoo"),
    ("no.such.module:Class", "connector='no.such.module:Class': No module named 'no'"),
    ("handlers.crm.zoho:Zoo", "handlers.crm.zoho has no Zoo"),
    ("handlers.crm.connectors:CONNECTORS", "is not a class"),
])  # fmt: skip
def test_an_unknown_connector(name: str, text: str) -> None:
    with pytest.raises(DeclarationError, match=text):
        connect({"connector": name})


@pytest.mark.parametrize("table", [{}, {"token": "x"}, {"connector": 1}, "hubspot"])
def test_a_table_without_a_connector(table: Any) -> None:
    with pytest.raises(DeclarationError, match="connector="):
        connect(table)


@pytest.mark.parametrize("name", CONNECTORS)
def test_a_connector_is_one_file_on_the_common_ones(name: str) -> None:
    source = Path(inspect.getsourcefile(connector_of(name)) or "").read_text()
    imported = set(re.findall(r"^from handlers\.crm\.(\w+) import", source, re.MULTILINE))
    assert imported <= {"base", "client", "contacts", "credentials", "outcomes", "rest_templates"}
