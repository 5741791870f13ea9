"""Calls of the reception, with a CRM that the tests control."""

from typing import Any

import pytest
from receiver.errors import UpstreamError
from receiver.testing import Phone

import customers

ADA = {"phone": "+4930123456", "important": True, "extension": "201"}


class FakeCrm:
    """A CRM with one contact and one account."""

    def __init__(self) -> None:
        self.down = False
        self.logged: list[Any] = []
        self.answer: Any = None

    async def get(self, path: str, params: dict[str, str] | None = None) -> "FakeCrm":
        if self.down:
            raise UpstreamError("the CRM is down")
        if params:
            self.answer = [ADA] if params["phone"] == ADA["phone"] else []
        else:
            self.answer = {"extension": "202" if path == "/accounts/471237" else ""}
        return self

    async def post(self, path: str, json: Any) -> None:
        self.logged.append(json)

    def json(self) -> Any:
        return self.answer


@pytest.fixture
def crm(monkeypatch: pytest.MonkeyPatch) -> FakeCrm:
    fake = FakeCrm()
    monkeypatch.setattr(customers, "crm", fake)
    return fake


async def test_an_important_caller_skips_the_menu(phone: Phone, crm: FakeCrm) -> None:
    call = await phone.dial("8000", caller="+4930123456")
    assert call.forwarded_to == "201"
    await phone.close()  # waits for the background jobs
    assert [one["destination"] for one in crm.logged] == ["201"]


async def test_an_account_number(phone: Phone, crm: FakeCrm) -> None:
    call = await phone.dial("8000", caller="+4930654321")
    await call.press("471237")
    assert call.forwarded_to == "202"


async def test_three_wrong_account_numbers(phone: Phone, crm: FakeCrm) -> None:
    call = await phone.dial("8000")
    for digits in ("400000", "400001", "400002"):
        await call.press(digits)
    assert call.forwarded_to == "0"


@pytest.mark.parametrize(("day", "destination"), [(30, "222"), (29, "8999")])
async def test_office_hours(phone: Phone, crm: FakeCrm, day: int, destination: str) -> None:
    phone.clock.now = phone.clock.now.replace(year=2026, month=11, day=day)  # at 10:00
    call = await phone.dial("8000", caller="101")
    await call.press("1")
    assert call.forwarded_to == destination


async def test_all_callers_get_the_menu_while_the_crm_is_down(phone: Phone, crm: FakeCrm) -> None:
    crm.down = True
    call = await phone.dial("8000", caller="+4930123456")
    await call.press("9")
    assert call.forwarded_to is None
