"""The pool of daemon threads."""

import contextvars
import threading
from queue import Full

import pytest

from receiver.execution.thread_pool import Threads


def test_runs_functions_and_keeps_their_results_and_errors() -> None:
    pool = Threads(2)
    assert [pool.submit(pow, n, 2).result(5) for n in range(50)] == [n * n for n in range(50)]
    with pytest.raises(ZeroDivisionError):
        pool.submit(divmod, 1, 0).result(5)
    pool.close()


def test_uses_no_more_threads_than_allowed_and_reuses_them() -> None:
    pool = Threads(3)
    names = {pool.submit(threading.get_ident).result(5) for _ in range(50)}
    assert len(names) <= 3
    pool.close()


def test_says_at_once_that_it_is_full() -> None:
    pool, release = Threads(1), threading.Event()
    running = pool.submit(release.wait, 10)
    while not running.running():
        pass  # until the thread has taken it from the queue
    waiting = [pool.submit(int) for _ in range(4)]
    with pytest.raises(Full):
        pool.submit(int)
    waiting[0].cancel()
    release.set()
    assert running.result(5) is True
    assert [future.result(5) for future in waiting[1:]] == [0] * (len(waiting) - 1)
    pool.close()


def test_threads_do_not_keep_the_process_alive_and_have_the_callers_context() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("mine")
    pool = Threads(1)
    daemon, value = pool.submit(lambda: (threading.current_thread().daemon, variable.get())).result(
        5
    )
    assert (daemon, value) == (True, "mine")
    pool.close()


def test_closing_ends_idle_threads() -> None:
    pool = Threads(2)
    thread = pool.submit(threading.current_thread).result(5)
    pool.close()
    thread.join(60)
    assert not thread.is_alive()
