"""The rules by which a guard switches: rows of answers, and a clock that tests move."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from receiver.registration.failover_rules import FailoverState, Rules

RULES = Rules(failures=3, failing=10.0, answers=3, hold=30.0, recheck=60.0)
SEEN = st.sampled_from([True, False, None])
ROWS = st.lists(st.tuples(SEEN, st.floats(0.1, 20.0), st.booleans()), max_size=80)
RULED = st.builds(
    Rules,
    failures=st.integers(1, 5),
    failing=st.floats(0.0, 30.0),
    answers=st.integers(1, 5),
    hold=st.floats(0.0, 90.0),
    recheck=st.floats(1.0, 90.0),
)


@dataclass
class Watch:
    """A guard whose switch always works, and what it did: when, and which way."""

    rules: Rules = RULES
    state: FailoverState = FailoverState()  # noqa: RUF009 - frozen
    now: float = 1000.0
    seen: list[tuple[float, bool | None]] = field(default_factory=list)
    turns: list[tuple[float, bool]] = field(default_factory=list)

    def see(self, good: bool | None, later: float = 3.0, *, changes: bool = True) -> bool | None:
        self.now += later
        self.seen.append((self.now, good))
        self.state = self.state.with_result(good, self.now)
        on = self.state.next_switch(self.rules, self.now)
        if on is not None:
            if changes:
                self.turns.append((self.now, on))
            self.state = self.state.with_switch(on, self.now, changed=changes)
        return on


@given(ROWS, RULED)
def test_never_without_evidence_and_never_too_fast(
    row: list[tuple[bool | None, float, bool]], rules: Rules
) -> None:
    watch = Watch(rules)
    for healthy, later, changes in row:
        on = watch.see(healthy, later, changes=changes)
        if on is not None:
            count = rules.answers if on else rules.failures
            assert [saw for _, saw in watch.seen[-count:]] == [on] * count
        if on is False:
            failing = [when for when, saw in watch.seen if saw is not False]
            since = next(w for w, _ in watch.seen if not failing or w > failing[-1])
            assert watch.now - since >= rules.failing
    for (before, one), (after, other) in zip(watch.turns, watch.turns[1:], strict=False):
        assert one == other or after - before >= rules.hold


@given(ROWS, RULED, st.booleans())
def test_what_lasts_is_acted_on(
    row: list[tuple[bool | None, float, bool]], rules: Rules, good: bool
) -> None:
    """After enough equal results the state follows them, regardless of the history."""
    watch = Watch(rules)
    for seen, later, changes in row:
        watch.see(seen, later, changes=changes)
    end = watch.now + rules.failing + rules.hold + 3.0 * 7
    while watch.now < end:
        watch.see(good)
    assert watch.state.enabled is good


@given(st.lists(st.sampled_from([True, None]), max_size=60))
def test_a_service_that_answers_now_and_then_is_left_alone(row: list[bool | None]) -> None:
    watch = Watch()
    for healthy in row:
        for seen in (False, False, healthy):
            assert watch.see(seen, 10.0) is not False


def test_three_failures_over_ten_seconds() -> None:
    watch = Watch()
    assert [watch.see(False) for _ in range(4)] == [None] * 4  # nine seconds
    assert watch.see(False) is False
    assert [watch.see(False) for _ in range(19)] == [None] * 19
    assert watch.see(False) is False  # a minute later: is it still so?


def test_a_slow_round_counts_its_time_but_three_are_needed() -> None:
    watch = Watch()
    assert [watch.see(False, 20.0) for _ in range(3)] == [None, None, False]


def test_back_after_three_answers_but_not_too_soon() -> None:
    watch = Watch()
    for _ in range(5):
        watch.see(False)
    assert [watch.see(True) for _ in range(10)] == [None] * 9 + [True]
    assert watch.turns[1][0] - watch.turns[0][0] == RULES.hold


def test_an_inconclusive_result_ends_both_rows() -> None:
    watch = Watch()
    for _ in range(4):
        watch.see(False)
    watch.see(None)
    assert [watch.see(False) for _ in range(4)] == [None] * 4
    watch.see(None)
    assert [watch.see(True) for _ in range(3)] == [None, None, True]


def test_what_found_nothing_to_change_holds_nothing_up() -> None:
    watch = Watch()
    for _ in range(3):
        watch.see(True, changes=False)
    assert [watch.see(False) for _ in range(5)][-1] is False


def test_what_failed_halfway_is_tried_again_at_once_and_not_turned_at_once() -> None:
    watch = Watch()
    for _ in range(5):
        watch.see(False)
    watch.state = watch.state.with_switch(False, watch.now, changed=True, complete=False)
    assert watch.see(False) is False
    assert [watch.see(True) for _ in range(3)] == [None] * 3
