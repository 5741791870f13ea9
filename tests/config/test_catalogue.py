"""The catalogue of installed handlers and connectors."""

import sys
from pathlib import Path

import pytest

from handlers.menu import Menu
from receiver.config import catalogue
from receiver.config.catalogue import find, installed


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, points: str) -> None:
    info = folder / "acme-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(folder)


def test_handlers_are_found_by_name() -> None:
    assert find("handler", "menu").target is Menu
    assert installed("handler")["menu"].signature == find("handler", "menu").signature


def test_an_unknown_handler_has_a_reason() -> None:
    assert find("handler", "nope").reason == (
        "no handler 'nope' is installed: run receiver handlers for a list"
    )
    assert find("connector", "hubspott").reason == (
        "no connector 'hubspott' is installed: did you mean 'hubspot'?"
    )


def test_a_hidden_handler_has_a_reason_that_says_how_to_fix_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [n for n in sys.modules if n.partition(".")[0] == "handlers"]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "handlers").mkdir()
    (tmp_path / "handlers" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    reason = find("handler", "menu").reason
    assert f"{tmp_path}/handlers/__init__.py hides the ready-made handlers: " in reason


@pytest.mark.parametrize("kind", catalogue.GROUPS)
def test_a_broken_entry_has_a_reason_and_the_others_work(
    kind: catalogue.Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "acme_leaving.py").write_text("raise SystemExit(3)\n")
    points = {
        "lost": "handlers.no_such_module:X",
        "missing": "no_such_module:X",
        "leaving": "acme_leaving:X",
        "number": "sys:maxsize",
    }
    rows = [f"{name} = {value}" for name, value in points.items()]
    install(tmp_path, monkeypatch, "\n".join([f"[{catalogue.GROUPS[kind]}]", *rows]))
    found = installed(kind)
    assert found["missing"].reason.startswith(
        f'{kind} "missing" (no_such_module:X) is broken: ModuleNotFoundError: '
    )
    assert "hides" not in found["missing"].reason + found["lost"].reason
    assert found["leaving"].reason.endswith("is broken: SystemExit: 3")
    assert found["number"].reason.startswith("it is neither a class nor a function")
    assert found["missing"].distribution == "acme 1.0"
    assert any(entry.signature and not entry.reason for entry in found.values())
