"""The floors of coverage."""

from tests.coverage_gate import FLOOR, LOWER, ROOT, problems, status

SOUND = dict.fromkeys(LOWER, 100.0)


def test_a_module_that_lost_its_tests_is_named() -> None:
    (line,) = problems({**SOUND, "receiver/server/worker.py": 40.0})
    assert line == "receiver/server/worker.py: 40 % of its lines are run by tests, 85 % are needed"


def test_modules_at_their_floor_pass() -> None:
    assert not [*problems({"receiver/server/worker.py": FLOOR, **LOWER})]
    for path in LOWER:
        assert [*problems({**SOUND, path: LOWER[path] - 1})]


def test_a_floor_without_a_module_is_named() -> None:
    assert len([*problems({})]) == len(LOWER)


def test_the_lists_name_what_exists() -> None:
    assert all((ROOT / path).exists() for path in LOWER)


def test_the_exit_status_is_zero_only_without_problems() -> None:
    assert status(SOUND) == 0
    assert status({**SOUND, "receiver/app.py": 84.0})
