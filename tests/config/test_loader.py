"""The object of module:attribute."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from receiver.config import loader
from receiver.errors import DeclarationError, LoadError


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if str(tmp_path) in (getattr(module, "__file__", None) or ""):
            del sys.modules[name]


def test_loads_modules_paths_and_attributes(project: Path) -> None:
    (project / "app_a.py").write_text("app = 1\nclass Box:\n    other = 2\n")
    (project / "numbered").mkdir()
    (project / "numbered" / "01_first.py").write_text("app = 3\n")
    assert loader.load("app_a") == loader.load("app_a:app") == loader.load("app_a.py") == 1
    assert loader.load("app_a:Box.other") == 2
    assert loader.load("numbered/01_first.py:app") == 3
    assert loader.load("numbered.01_first") == loader.load("./numbered/01_first.py") == 3
    assert loader.load(f"{project}/numbered/01_first.py:app") == 3


def test_a_path_loads_that_file_with_any_name(project: Path) -> None:
    folder = project / "v1.2"
    folder.mkdir()
    (folder / "json.py").write_text("import beside\napp = beside.value\n")
    (folder / "beside.py").write_text("value = 7\n")
    assert loader.load("v1.2/json.py") == 7
    assert json.loads("1") == 1


def test_the_working_directory_is_searched(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "app_b.py").write_text("app = 1\n")
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in ("", str(project))])
    assert loader.load("app_b:app") == 1
    assert sys.path[0] == str(project)


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("", "is not of the form module:attribute"),
        (":app", "is not of the form module:attribute"),
        ("nowhere:app", "there is no module 'nowhere' in"),
        ("nowhere.app:app", "there is no module 'nowhere.app' in"),
        ("nowhere.py", "there is no file nowhere.py"),
        ("lonely:app", "needs the module 'not_installed_here', which is not installed"),
        ("leaving:app", r"failed at .*leaving\.py:1: SystemExit: 3"),
        ("leaving.py", r"failed at .*leaving\.py:1: SystemExit: 3"),
        ("mute:app", r"failed at .*mute\.py:4: Mute$"),
        ("far:app", r"failed at .*far\.py:2: JSONDecodeError: .*"),
        ("odd:app", r"RuntimeError: a\\x1b\[31mb\\n…?"),
        ("x" * 1000, "there is no module 'x+…' in"),
        ("broken:app", "broken.py:2: "),
        ("raising:app", "failed at .*raising.py:1: ZeroDivisionError"),
        ("fine:missing", "fine has no 'missing'; it has something"),
        ("empty:app", "empty has no 'app'; it has nothing"),
    ],
)
def test_an_error_says_what_to_do_next(project: Path, target: str, problem: str) -> None:
    (project / "lonely.py").write_text("import not_installed_here\n")
    (project / "broken.py").write_text("x = 1\nx = (\n")
    (project / "raising.py").write_text("1 / 0\n")
    (project / "leaving.py").write_text("raise SystemExit(3)\n")
    mute = "class Mute(BaseException):\n    def __str__(self):\n        return 1\nraise Mute()\n"
    (project / "mute.py").write_text(mute)
    (project / "far.py").write_text("import json\njson.loads('')\n")
    (project / "odd.py").write_text("raise RuntimeError('a\\x1b[31mb\\n')\n")
    (project / "fine.py").write_text("something = 1\n")
    (project / "empty.py").write_text("")
    with pytest.raises(LoadError, match=problem):
        loader.load(target)


def test_a_working_directory_that_no_longer_exists(project: Path) -> None:
    (project / "gone").mkdir()
    os.chdir(project / "gone")
    (project / "gone").rmdir()
    with pytest.raises(LoadError, match="the working directory no longer exists"):
        loader.load("app")


def test_receiver_errors_are_not_wrapped(project: Path) -> None:
    (project / "wrong.py").write_text("from receiver import Ivr\nivr = Ivr('x')\n")
    with pytest.raises(DeclarationError, match=r"wrong\.py:2: an Ivr has an extension number"):
        loader.load("wrong")


def test_a_declared_value_that_is_wrong_has_its_file_and_line(project: Path) -> None:
    lines = ["from receiver import Forward, MenuEntry", 'MenuEntry("x", Forward("222"))']
    (project / "value.py").write_text("\n".join(lines))
    with pytest.raises(DeclarationError, match=r"value\.py:2: MenuEntry: 'x' is no key"):
        loader.load("value")
