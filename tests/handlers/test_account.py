"""handlers/account.py"""

import asyncio
import logging
from collections.abc import MutableMapping
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.account import Account, Attempts
from handlers.accounts.checks import luhn
from handlers.balance import Balance
from handlers.hours import Hours
from handlers.menu import Menu
from handlers.screen import Screen
from receiver import (
    Call,
    DeclarationError,
    Forward,
    Handler,
    Hangup,
    Ivr,
    Receiver,
    Repeat,
    Reply,
    Secret,
    Settings,
)
from receiver.call_context import Detached
from receiver.testing import Phone
from tests.clock import Clock
from tests.support import SECRET, credentials

RIGHT, WRONG, LOCKED = Forward("222"), Repeat(), Hangup()
VISA = "4111111111111111"
NUMBERS = st.text("0123456789", min_size=1, max_size=18)


async def key_in(account: Account, *digits: str, caller: str = "+4930123456") -> list[Reply]:
    """One call that keys in these, one after the other."""
    context = Detached()
    return [await account(Call(digits=d, caller=caller, context=context)) for d in digits]


async def test_accounts_in_a_table_or_a_list() -> None:
    table = Account({"4711": "201", "0042": Forward("202")}, wrong="0")
    assert await key_in(table, "4711", "0042", "42") == [*map(Forward, ("201", "202", "0"))]
    listed = Account(["4711", Secret("4712")], "222")
    assert await key_in(listed, "4712", "4711", "4713", "") == [RIGHT, RIGHT, WRONG, WRONG]


@pytest.mark.parametrize("kind", ["account", "card", "pin"])
async def test_the_finish_key_is_removed(kind: Any) -> None:
    check: Any = VISA if kind == "pin" else [VISA]
    account = Account(check, "222", kind=kind)
    assert await key_in(account, f"{VISA}#", VISA, f"{VISA}*") == [RIGHT, RIGHT, WRONG]
    star = Account(check, "222", kind=kind, finish_key="*")
    assert await key_in(star, f"{VISA}*", f"{VISA}#") == [RIGHT, WRONG]
    exact = Account(check, "222", kind=kind, finish_key="")
    assert await key_in(exact, f"{VISA}#", VISA) == [WRONG, RIGHT]
    with pytest.raises(DeclarationError, match="finish_key='##'"):
        Account(check, "222", kind=kind, finish_key="##")  # type: ignore[arg-type]


async def test_a_check_gets_the_digits_without_the_finish_key() -> None:
    async def check(call: Call) -> bool:
        return call.digits == "4711"

    assert await key_in(Account(check, then=RIGHT), "4711#") == [RIGHT]


async def test_an_async_function_decides() -> None:
    async def check(call: Call) -> bool | Forward | None:
        found: dict[str, bool | Forward] = {"1": True, "2": False, "3": Forward("333")}
        return found.get(call.digits)

    account = Account(check, then=RIGHT, attempts=5)
    assert await key_in(account, *"1234") == [RIGHT, WRONG, Forward("333"), WRONG]
    with pytest.raises(DeclarationError, match="there is no then="):
        await key_in(Account(check), "1")


async def test_one_pin_for_all_and_one_per_caller() -> None:
    shared = Account("2580", then="222", kind="pin", locked="hangup")
    assert await key_in(shared, "2580", "0852", "2580") == [RIGHT, WRONG, RIGHT]
    own = Account({"030 123456": "1111", "101": Secret("2222")}, "222", kind="pin", region="DE")
    assert await key_in(own, "1111", "2222", caller="+4930123456") == [RIGHT, WRONG]
    assert await key_in(own, "2222", "1111", caller="101") == [RIGHT, WRONG]
    for unknown in ("102", "", "anonymous"):
        assert await key_in(own, "1111", caller=unknown) == [WRONG]


async def test_cards_are_checked_before_the_function_runs() -> None:
    checked: list[str] = []

    async def known(call: Call) -> bool:
        checked.append(call.digits)
        return call.digits == VISA

    card = Account(known, then=RIGHT, kind="card", attempts=9)
    found = await key_in(card, VISA, VISA[:-1] + "2", "5500005555555559", "18", "a" * 16)
    assert found == [RIGHT, WRONG, WRONG, WRONG, WRONG]
    assert checked == [VISA, "5500005555555559"]
    assert await key_in(Account(then=RIGHT, kind="card"), VISA, VISA[1:]) == [RIGHT, WRONG]
    assert await key_in(Account([VISA], RIGHT, kind="card"), VISA, checked[1]) == [RIGHT, WRONG]


async def test_attempts_of_a_call() -> None:
    account = Account(["4711"], "222", attempts=3)
    found = await key_in(account, "1", "4711", "2", "3", "4711", "4")
    assert found == [WRONG, RIGHT, WRONG, LOCKED, LOCKED, LOCKED]
    assert await key_in(account, "4711") == [RIGHT]  # the next call starts again


async def test_two_accounts_in_a_call_count_separately() -> None:
    context = Detached()
    one, two = (Account(["4711"], "222", attempts=1, name=name) for name in ("one", "two"))
    assert await one(Call(digits="1", context=context)) == LOCKED
    assert await two(Call(digits="4711", context=context)) == RIGHT
    assert context.remembered == {"one.attempts": 1, "two.attempts": 0}  # and nothing else


async def test_attempts_of_a_caller_and_the_lock_out() -> None:
    clock = Clock()
    account = Account(["4711"], "222", attempts=3, per_caller=4, lock=900, clock=clock)
    assert await key_in(account, "1", "2", "4711") == [WRONG, WRONG, RIGHT]
    assert await key_in(account, "3", "4", "4711", caller="004930123456") == [WRONG, LOCKED, LOCKED]
    assert await key_in(account, "4711", caller="101") == [RIGHT]
    clock.now = 899
    assert await key_in(account, "4711") == [LOCKED]
    clock.now = 900  # a refused call is no attempt and does not extend the lock-out
    assert await key_in(account, "1", "4711") == [WRONG, RIGHT]


async def test_callers_without_a_number_count_as_one() -> None:
    account = Account(["4711"], "222", per_caller=2)
    for caller in ("", "anonymous"):
        await key_in(account, "1", caller=caller)
    assert await key_in(account, "4711", caller="Restricted") == [LOCKED]


async def test_concurrent_attempts_do_not_exceed_the_limit() -> None:
    going = asyncio.Event()
    checked: list[str] = []

    async def slow(call: Call) -> bool:
        checked.append(call.digits)
        await going.wait()
        return False

    account = Account(slow, then=RIGHT, per_caller=5)
    tasks = [asyncio.create_task(key_in(account, str(n))) for n in range(20)]
    turned_away = asyncio.as_completed(tasks)
    for _ in range(15):
        assert await next(turned_away) == [LOCKED]
    assert len(checked) == 5
    going.set()
    assert await asyncio.gather(*tasks) == [[LOCKED]] * 20


async def test_a_failed_check_does_not_count() -> None:
    failing = True

    async def check(call: Call) -> bool:
        if failing:
            raise OSError("down")
        return call.digits == "1"

    account, context = Account(check, then=RIGHT, attempts=1, per_caller=1), Detached()
    call = Call(digits="1", caller="101", context=context)
    for _ in range(3):
        with pytest.raises(OSError, match="down"):
            await account(call)
    failing = False
    assert await account(call) == RIGHT


async def test_a_late_check_does_not_count() -> None:
    begun = asyncio.Event()

    async def forever(_: Call) -> bool:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    account = Account(forever, then=RIGHT, per_caller=1)
    task = asyncio.create_task(key_in(account, "1"))
    await begun.wait()
    assert account._by_caller.locked("4930123456", 0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not account._by_caller.locked("4930123456", 0)


async def test_without_a_session_all_are_refused() -> None:
    class Lost(Detached):
        def session(self) -> Any:
            raise OSError("lost")

    account = Account(["4711"], "222")
    with pytest.raises(OSError, match="lost"):
        await account(Call(digits="4711", context=Lost()))


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 200)), max_size=200))
def test_the_memory_is_limited(events: list[tuple[int, int]]) -> None:
    attempts, now = Attempts(3, 100, remember=10), 0.0
    for who, later in events:
        now += later
        attempts.begin(str(who), now)
        assert len(attempts._counts) <= 10


async def test_no_log_contains_keyed_input(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    ivr = Ivr("888")

    async def broken(call: Call) -> bool:
        raise ValueError(call.digits + call.caller)

    ivr.add("DTMF", "ALL", Account(["4711"], "222"), name="account")
    menu = Ivr("889")
    from handlers.hours import Hours
    from handlers.menu import Menu

    inside = Hours(
        open=Menu({"1": "2", "3": Account(broken, "222")}),
        closed="0",
        zone="UTC",
        week={"mon-sun": "00:00-24:00"},
    )
    menu.add("DTMF", "ALL", inside, name="inside")
    app = Receiver(ivr, menu, settings=Settings(secret=SECRET, log_caller_data=True))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://x"
    ) as client:
        for path, digits in (
            ("888/account", "4711"),
            ("888/account", "98765"),
            ("889/inside", "3"),
        ):
            token = credentials(path).token.reveal()
            answer = await client.post(
                f"/action/{path}",
                json={"from": "+4930123456", "input": digits, "session_id": "s" + digits},
                headers={"Authorization": f"Bearer {token}"},
            )
            assert answer.status_code == 200
    assert len([m for m in caplog.messages if "DTMF" in m]) == 3
    for secret in ("4711", "98765", "30123456"):
        assert secret not in caplog.text
    assert "4711" not in repr(Account(["4711"], "222"))


def test_sensitive_may_be_disabled() -> None:
    account = Account(["4711"], "222")
    assert Ivr("888").add("DTMF", "1", account, name="a").sensitive
    assert not Ivr("888").add("DTMF", "1", account, name="a", sensitive=False).sensitive


@given(NUMBERS, st.data())
def test_luhn(digits: str, data: st.DataObject) -> None:
    """One digit completes a number; one wrong digit, or two swapped ones but 0 and 9, are seen."""
    [check] = [d for d in "0123456789" if luhn(digits + d)]
    whole = digits + check
    place = data.draw(st.integers(0, len(whole) - 1))
    other = data.draw(st.sampled_from(sorted({*"0123456789"} - {whole[place]})))
    assert not luhn(whole[:place] + other + whole[place + 1 :])
    if place:
        one, two = whole[place - 1], whole[place]
        swapped = whole[: place - 1] + two + one + whole[place + 1 :]
        assert luhn(swapped) == (one == two or {one, two} == {"0", "9"})


def test_luhn_of_known_numbers() -> None:
    assert all(map(luhn, (VISA, "79927398713", "378282246310005", "0")))
    assert not any(map(luhn, ("", "79927398710", VISA + "x", "４１１１", "-18")))


@pytest.mark.parametrize(
    ("args", "options", "problem"),
    [
        ((["1"],), {}, "then= is missing"),
        (("2580",), {"kind": "pin"}, "then= is missing"),
        ((None, "2"), {}, "check= is a list or a table"),
        (("4711", "2"), {}, "check= is a list or a table"),
        (([], "2"), {}, "check= is a list or a table"),
        (({}, "2"), {"kind": "pin"}, "check= is a PIN, a table"),
        ((7, "2"), {"kind": "pin"}, "check= is a PIN, a table"),
        ((["4711", "47x1"], "2"), {}, "entry 2 of check= is no text of digits"),
        ((["4711", 4712], "2"), {}, "entry 2 of check= is no text of digits"),
        (({"4711": "x"},), {}, "entry 1 of check= is neither"),
        (("25 80", "2"), {"kind": "pin"}, "the PIN is no text of digits"),
        (({"Ada": "2580"}, "2"), {"kind": "pin"}, "entry 1 of check= has no caller's number"),
        (({"101": ""}, "2"), {"kind": "pin"}, "entry 1 of check= is no text"),
        ((["1"], "x"), {}, "Account: then is neither"),
        ((["1"], "2"), {"wrong": "x"}, "Account: wrong is neither"),
        ((["1"], "2"), {"locked": "x"}, "Account: locked is neither"),
        ((["1"], "2"), {"kind": "iban"}, "kind='iban' is none of account, card, pin"),
        ((["1"], "2"), {"attempts": 0}, "attempts=0 is no whole number from 1 to 100"),
        ((["1"], "2"), {"per_caller": True}, "per_caller=True is no number"),
        ((["1"], "2"), {"attempts": float("nan")}, "attempts=nan is no whole number from 1 to 100"),
        ((["1"], "2"), {"lock": float("nan")}, "lock=nan is no number above 0"),
        ((["1"], "2"), {"lock": "900"}, "lock='900' is no number"),
        ((["1"], "2"), {"remember": 0}, "remember=0 is no number above 0"),
        ((["1"], "2"), {"region": "XX"}, "region='XX'"),
    ],
)
def test_wrong_options(args: Any, options: Any, problem: str) -> None:
    with pytest.raises(DeclarationError, match=problem) as caught:
        Account(*args, **options)
    assert "47x1" not in str(caught.value)


async def test_the_session_is_not_held_while_it_is_checked() -> None:
    held: list[MutableMapping[str, Any]] = []

    async def check(call: Call) -> bool:
        async with call.session() as session:
            held.append(session)
            session["customer"] = 7
        return True

    context = Detached()
    assert await Account(check, "222")(Call(digits="1", context=context)) == RIGHT
    assert context.remembered["customer"] == 7
    assert held


# how often it repeats the prompt -------------------------------------------------------------


def attempts_of(handler: Handler) -> list[str]:
    """Wrong digits until the call ends, on a PBX whose app has ``handler``."""

    async def place() -> list[str]:
        ivr = Ivr("8000")
        ivr.add("DTMF", "****", handler, name="account")
        ivr.add("CALLER", "any", _continue, name="ahead")
        async with Phone(Receiver(ivr, fallback=Forward("0"))) as phone:
            call = await phone.dial("8000")
            while not call.ended and len(call.callbacks) < 20:
                await call.press("9999")
            return [step.outcome.kind for step in call.callbacks[1:]]

    return asyncio.run(place())


async def _continue(call: Call) -> Reply:
    return Repeat()


@pytest.mark.parametrize("attempts", [1, 3, 5, 12])
def test_the_last_attempt_of_an_action_leads_to_locked(attempts: int) -> None:
    ends = attempts_of(Account(["4711"], "222", attempts=attempts, per_caller=99))
    assert ends == ["repeated"] * (attempts - 1) + ["hung up"]


def _plain(call: Call) -> Reply:
    return Forward("222")


def test_a_handler_that_leads_to_an_account_repeats_as_often() -> None:
    account = Account(["4711"], "222", attempts=5, per_caller=99)
    composed: list[Any] = [
        Menu({"9999": account}),
        Hours(open=account, closed=account, zone="UTC", week={"mon-sun": "00:00-24:00"}),
        Screen(then=account),
        Balance([account]),
    ]
    for handler in composed:
        assert handler.repeats == 4
        assert attempts_of(handler) == ["repeated"] * 4 + ["hung up"]


@pytest.mark.parametrize(
    ("options", "repeats"),
    [
        ({}, 2),
        ({"attempts": 7}, 6),
        ({"attempts": 7, "wrong": "8999"}, 0),
        ({"attempts": 7, "wrong": Hangup()}, 0),
        ({"attempts": 7, "wrong": " Repeat"}, 6),
        ({"attempts": 7, "wrong": _continue}, 6),
        ({"wrong": "8999", "locked": Account(["1"], "2", attempts=9)}, 8),
        ({"wrong": "8999", "then": Account(["1"], "2", attempts=9)}, 8),
        ({"check": {"1": Account(["1"], "2", attempts=9), "2": _plain}}, 8),
    ],
)
def test_how_often_an_account_repeats_the_prompt(options: dict[str, Any], repeats: int) -> None:
    assert Account(**{"check": ["4711"], "then": "222", **options}).repeats == repeats


def test_fewer_repeats_than_the_handler_needs_are_an_error_at_the_declaration() -> None:
    account = Account(["4711"], "222", attempts=5)
    with pytest.raises(DeclarationError, match="it repeats the prompt up to 4 times") as error:
        Ivr("8000").add("DTMF", "1", account, name="account", max_repeats=3)
    assert error.value.where.partition(":")[0] == __file__
    assert Ivr("8000").add("DTMF", "1", account, name="a", max_repeats=4).max_repeats == 4
    assert Ivr("8000").add("DTMF", "1", account, name="a").max_repeats == 4
    assert Ivr("8000").add("DTMF", "1", _plain).max_repeats == 3


def test_an_own_handler_declares_its_repeats_too() -> None:
    class Patient:
        repeats = 8

        async def __call__(self, call: Call) -> Reply:
            return Repeat()

    assert Ivr("8000").add("DTMF", "1", Patient(), name="a").max_repeats == 8
    Patient.repeats = True
    assert Ivr("8000").add("DTMF", "1", Patient(), name="a").max_repeats == 3
