"""The window of used counts."""

from hypothesis import given
from hypothesis import strategies as st

from receiver.auth.replay_window import SKEW, WINDOW, NonceCounts


def use(counters: NonceCounts, *counts: int, nonce: str = "n", now: float = 0.0) -> list[bool]:
    return [counters.use(nonce, count, made=0.0, now=now) for count in counts]


def test_a_count_is_good_once() -> None:
    assert use(NonceCounts(life=300), 1, 1, 2, 2, 1) == [True, False, True, False, False]


def test_gaps_disorder_and_other_starts_are_tolerated() -> None:
    assert use(NonceCounts(life=300), 2, 1, 5, 3, 4, 3, 100, 99) == [True] * 5 + [False, True, True]


def test_what_is_far_behind_is_refused() -> None:
    counters = NonceCounts(life=300)
    assert use(counters, 1000, 1000 - WINDOW + 1, 1000 - WINDOW, 10**9, 1000) == [
        True,
        True,
        False,
        True,
        False,
    ]


def test_each_nonce_counts_for_itself() -> None:
    counters = NonceCounts(life=300)
    assert use(counters, 1, nonce="a") == use(counters, 1, nonce="b") == [True]


def test_old_nonces_are_forgotten_and_stay_refused() -> None:
    counters = NonceCounts(life=300)
    assert counters.use("a", 1, made=0.0, now=0.0)
    assert counters.use("b", 1, made=200.0, now=301.0)
    assert len(counters) == 1
    assert not counters.use("a", 1, made=0.0, now=301.0)


def test_memory_is_bounded_and_what_was_pushed_out_is_refused() -> None:
    counters = NonceCounts(life=300, max_nonces=10)
    for n in range(1000):
        assert counters.use(str(n), 1, made=n / 100, now=10.0)
    assert len(counters) <= 10
    assert not any(counters.use(str(n), 1, made=n / 100, now=10.0) for n in range(1000))


@given(st.lists(st.integers(1, 200), max_size=60))
def test_no_count_is_ever_taken_twice(counts: list[int]) -> None:
    taken = [c for c, good in zip(counts, use(NonceCounts(life=300), *counts), strict=True) if good]
    assert len(taken) == len(set(taken))


@given(st.permutations(range(1, WINDOW + 1)))
def test_any_order_within_the_window_is_taken(counts: list[int]) -> None:
    assert all(use(NonceCounts(life=300), *counts))


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 3 * WINDOW)), max_size=120))
def test_the_window_is_that_of_a_simple_model(uses: list[tuple[str, int]]) -> None:
    counters = NonceCounts(life=300)
    used: dict[str, set[int]] = {"a": set(), "b": set()}
    for nonce, count in uses:
        good = count not in used[nonce] and count > max(used[nonce], default=0) - WINDOW
        assert counters.use(nonce, count, made=0.0, now=0.0) is good
        used[nonce] |= {count} if good else set()


def test_a_clock_that_was_set_back_refuses_no_new_nonce() -> None:
    counters = NonceCounts(life=300)
    assert counters.use("a", 1, made=3600.0, now=3600.0)
    assert counters.use("b", 1, made=4000.0, now=4000.0)  # "a" is forgotten
    assert not counters.use("c", 1, made=3599.0, now=3600.0 - SKEW)
    assert counters.use("c", 1, made=3000.0, now=3000.0)


def test_a_nonce_from_a_clock_that_is_ahead_refuses_none_of_this_one() -> None:
    counters = NonceCounts(life=300, max_nonces=1)
    assert counters.use("ahead", 1, made=1030.0, now=1000.0)
    assert counters.use("b", 1, made=1000.5, now=1001.0) is False  # made before the other was lost
    assert counters.use("c", 1, made=1001.5, now=1002.0)
