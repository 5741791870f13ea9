"""The limits that keep the tree small and its language plain; see `tests.measure`."""

from tests import measure
from tests.test_layers import LAYERS


def test_no_idiom_of_translated_english() -> None:
    assert measure.idioms() == []


def test_modules_are_named_by_nouns_with_one_meaning() -> None:
    assert measure.gerunds() == []
    assert measure.ambiguous() == {}


def test_packages_are_few_and_import_in_one_direction() -> None:
    assert measure.package_cycles() == set()
    assert len(LAYERS) <= 12
    assert len(measure.packages()) <= 20
    assert len(measure.top_level()) <= 12


def test_files_and_functions_can_be_read_whole() -> None:
    assert [name for name, count in measure.lines().items() if count > 300] == []
    assert measure.long_functions(45) == []
