"""The faults, their times, and the answers that callers must get meanwhile.

Rule 1: in each row all callers get a valid answer in time, but for those whose call a worker had
        in its hands when it was killed.
Rule 2: in each row everything is handled again afterwards, without an operator.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.faults.stage import Lever, Stage

ALL = (1.0, 1.0)
NONE = (0.0, 0.0)


@dataclass(frozen=True)
class Row:
    """A fault.

    Parameters:
        sends: the actions that callers come to, in turn.
        handled: the least and the greatest share of answers that are the handlers', not fallbacks.
        reasons: those that the log may give for the fallbacks, and gives one of.
        acts: which levers are pulled, and after how many seconds.
        repair: the levers that are pulled after the load.
        says: what else the log says, as a pattern: that the fault was there.
        once: the action that the tenth caller comes to, and a number of later ones.
        times: how many callers come to it, two places apart.
        stage: which one of `tests.faults.test_faults`.
        seconds: of load.
        after: the actions that callers come to afterwards; by default as before.
        lasts: whether the load continues until the log has what `says` expects.
        refuses: whether later callers may be refused at once, so that the PBX continues.
        kills: whether calls under way at an act may be lost: no process is left to answer them.
    """

    name: str
    sends: tuple[str, ...]
    handled: tuple[float, float]
    reasons: frozenset[str] = frozenset()
    acts: tuple[tuple[float, Lever], ...] = ()
    repair: tuple[Lever, ...] = ()
    says: str = ""
    once: str = ""
    times: int = 1
    stage: str = "plain"
    seconds: float = 1.6
    after: tuple[str, ...] = ()
    lasts: bool = False
    kills: bool = False
    refuses: bool = False

    def action(self, number: int) -> str:
        """Return the action that the caller with this number reaches."""
        if self.once and number in range(9, 9 + 2 * self.times, 2):
            return self.once
        return self.sends[number % len(self.sends)]


def because(*reasons: str) -> frozenset[str]:
    return frozenset(reasons)


SIGNED = ("known", "remember")
"""Digest, whose counts are in the store; and a session on top."""

HALF = (0.5, 0.9)
"""Handled without a session; and those with one before the fault and after it."""

MOST = (0.5, 0.99)
"""The same for a time that is short beside the load."""

HANDLERS = (
    Row("handler slow", ("slow",), NONE, because("late"), seconds=1, after=("good",)),
    Row("handler raises", ("broken",), NONE, because("raised"), seconds=1, after=("good",)),
    Row(
        "handler returns nonsense",
        ("nonsense",),
        NONE,
        because("invalid"),
        seconds=1,
        after=("good",),
    ),
    Row(
        "handler blocks its thread",
        ("block", "good"),
        (0.5, 0.5),
        because("late", "shed"),
        after=("plain",),
    ),
    Row(
        "handler blocks the event loop",
        ("good",),
        (0.85, 0.999),
        because("late"),
        says=r"blocked in the handler of 8000/stick",
        once="stick",
        seconds=2.5,
    ),
    *[
        Row(
            f"all event loops blocked, {name}",
            ("good", "known"),
            (0.05, 0.8),
            because("late"),
            says=r"answered \d+ requests for a blocked event loop",
            once="freeze",
            times=times,
            seconds=5,
            stage=stage,
        )
        for name, times, stage in (
            ("1 worker", 1, "one worker"),
            ("2 workers", 2, "plain"),
            ("3 workers", 3, "three workers"),
        )
    ],
)

UPSTREAM = (
    Row(
        "CRM down",
        ("ask",),
        (0.0, 0.6),
        because("broken"),
        ((0.2, Stage.stop_crm),),
        (Stage.mend_crm,),
    ),
    Row(
        "CRM slow",
        ("ask",),
        (0.0, 0.6),
        because("broken"),
        ((0.2, Stage.slow_crm),),
        (Stage.mend_crm,),
    ),
    Row(
        "CRM cuts off",
        ("ask",),
        (0.0, 0.6),
        because("broken"),
        ((0.2, Stage.cut_crm),),
        (Stage.mend_crm,),
    ),
)

SHARED = (
    Row(
        "Redis stopped",
        SIGNED,
        HALF,
        because("broken"),
        ((0.3, Stage.kill_redis),),
        (Stage.start_redis,),
        stage="redis",
    ),
    Row(
        "Redis paused",
        SIGNED,
        HALF,
        because("broken"),
        ((0.3, Stage.pause_redis),),
        (Stage.resume_redis,),
        stage="redis",
    ),
    Row(
        "Redis slow",
        SIGNED,
        HALF,
        because("broken"),
        ((0.3, Stage.slow_redis),),
        (Stage.mend_redis,),
        stage="redis",
    ),
    Row(
        "Redis restarted",
        SIGNED,
        HALF,
        because("broken"),
        ((0.3, Stage.kill_redis), (0.8, Stage.start_redis)),
        stage="redis",
    ),
    Row(
        "Redis out of memory",
        SIGNED,
        HALF,
        because("broken"),
        ((0.3, Stage.fill_redis),),
        (Stage.empty_redis,),
        stage="redis",
    ),
    Row(
        "SQLite store deleted",
        SIGNED,
        HALF,
        because("broken"),
        ((0.3, Stage.delete_store),),
    ),
)

STOPPED = (
    tuple(
        Row(
            f"SIGTERM, {what}, {workers}",
            sends,
            (0.2, 0.7),
            once=once,
            acts=((0.8, Stage.terminate),),
            repair=(Stage.start_again,),
            stage=stage,
            seconds=2.5,
            after=("good",),
            refuses=True,
        )
        for what, sends, once in (
            ("jobs running", ("job", "good"), ""),
            ("a forked child", ("good", "plain"), "fork"),
        )
        for workers, stage in (("1 worker", "one worker"), ("2 workers", "plain"))
    )
    + tuple(
        Row(
            f"SIGTERM, all event loops blocked, {workers}",
            ("good", "known"),
            (0.05, 0.5),
            because("late"),
            says=r"the event loop is blocked in the handler of 8000/freeze",
            once="freeze",
            times=times,
            acts=((0.8, Stage.terminate),),
            repair=(Stage.start_again,),
            stage=stage,
            seconds=4,
            after=("good",),
            refuses=True,
        )
        for workers, stage, times in (("1 worker", "one worker", 1), ("2 workers", "plain", 2))
    )
    + (
        Row(
            "SIGTERM, 1 of 2 event loops blocked",
            ("good", "known"),
            (0.7, 0.95),  # by the other worker, until the first one is stopped
            because("late"),
            says=r"the event loop is blocked in the handler of 8000/freeze",
            once="freeze",
            acts=((0.8, Stage.terminate),),
            repair=(Stage.start_again,),
            seconds=4,
            after=("good",),
            refuses=True,
        ),
    )
)

PROCESSES = (
    *STOPPED,
    Row("standard output blocked", ("chat", "good"), ALL, after=("good",)),
    Row(
        "a worker killed (SIGKILL)",
        ("good", "known"),
        (0.99, 1.0),  # the one in its hands is lost, of 125
        acts=((0.5, Stage.kill_worker),),
        says=r"exited \(SIGKILL\): it is replaced",
        seconds=2.5,
        kills=True,
    ),
    Row(
        "all workers restarted one by one",
        ("good", "known"),
        ALL,
        acts=((0.2, Stage.reload),),
        says=r"INFO reloaded",
        lasts=True,
    ),
    Row(
        "store and queue damaged, new workers",
        SIGNED,
        HALF,
        because("broken"),
        ((0.3, Stage.damage_files), (0.5, Stage.reload)),
        (Stage.delete_queue,),
        says=r"(?s)was damaged \(SQLITE_NOTADB\).*INFO reloaded",
        lasts=True,
    ),
    Row(
        "store and queue damaged, workers killed",
        SIGNED,
        MOST,
        because("broken"),
        (
            (0.3, Stage.damage_files),
            (0.5, Stage.kill_oldest_worker),
            (3.0, Stage.kill_oldest_worker),
        ),
        (Stage.delete_queue,),
        says=r"was damaged \(SQLITE_NOTADB\)",
        seconds=5,
        kills=True,
    ),
    Row(
        "descriptors taken by idle connections",
        ("good", "known"),
        ALL,
        acts=((0.2, Stage.hold),),
        repair=(Stage.let_go,),
        says=r"connection limit: idle connections are evicted",
        stage="limited",
    ),
    Row(
        "descriptors taken by a handler",
        ("good", "known"),
        ALL,
        says=r"new connections wait in the accept queue: Too many open files",
        once="hoard",
        stage="limited",
        seconds=3,
    ),
)

MACHINE = (
    Row(
        "log on a full disk",
        ("mute", "good"),
        ALL,
        says=r"\d+ log lines could not be written",
        lasts=True,
        after=("good",),
    ),
    Row(
        "clock set back by an hour",
        SIGNED,
        ALL,
        acts=((0.5, Stage.turn_clock_back),),
        repair=(Stage.set_clock_right,),
    ),
    Row(
        "disk full",
        SIGNED,
        HALF,
        because("broken"),
        ((0.3, Stage.fill_disk),),
        (Stage.empty_disk,),
        stage="limited",
    ),
)

LAST = (
    # Its workers keep what they leaked, and never have much memory again.
    Row(
        "handler leaks memory",
        ("leak", "good"),
        (0.5, 0.8),
        because("raised"),
        stage="limited",
        after=("good",),
    ),
)

ROWS = (*HANDLERS, *UPSTREAM, *SHARED, *PROCESSES, *MACHINE, *LAST)
