"""The number of repeats in a row that a call got."""

from receiver.dispatch.repeat_guard import COUNT_LIFE, Repeats


def test_each_call_is_counted_until_it_ends() -> None:
    repeats = Repeats()
    assert [repeats.count("a", 0), repeats.count("b", 0), repeats.count("a", 1)] == [1, 1, 2]
    repeats.end("a")
    repeats.end("unknown")
    assert [repeats.count("a", 2), repeats.count("b", 2)] == [1, 2]


def test_what_was_not_heard_of_is_forgotten() -> None:
    repeats = Repeats()
    repeats.count("a", 0)
    assert repeats.count("a", COUNT_LIFE) == 1


def test_only_so_many_are_remembered() -> None:
    repeats = Repeats(most=2)
    for call in ("a", "b", "a", "c"):
        repeats.count(call, 0)
    assert [repeats.count("a", 0), repeats.count("b", 0)] == [3, 1]
