"""The connectors with their fakes, so that one test can run against all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from handlers.crm.contacts import Contact, Crm, Engagement, Number
from handlers.crm.hubspot import HubSpot
from handlers.crm.odoo import Odoo
from handlers.crm.pipedrive import Pipedrive
from handlers.crm.salesforce import Salesforce
from handlers.crm.zoho import Zoho
from tests.handlers.crm.fake_hubspot import FakeHubSpot
from tests.handlers.crm.fake_odoo import FakeOdoo
from tests.handlers.crm.fake_pipedrive import FakePipedrive
from tests.handlers.crm.fake_salesforce import FakeSalesforce
from tests.handlers.crm.fake_zoho import FakeZoho

AnyFake = FakeHubSpot | FakeZoho | FakeOdoo | FakePipedrive | FakeSalesforce
Connect = Callable[..., Crm]

_made: list[Crm] = []  # kept: their connections are closed with the event loop, not before it

KEY = "6d0f2c9ab17e4583f4c8d25e90ab3716"
"""In the form of `handlers.crm.engagements`."""


@dataclass
class Stage:
    """A fake on a socket, and its connector."""

    fake: Any
    url: str
    connect: Connect

    @property
    def crm(self) -> Crm:
        """A new connector with an empty cache."""
        return self.make()

    def make(self, **options: Any) -> Crm:
        _made.append(self.connect(self.url, **options))
        return _made[-1]

    def logged(self) -> list[dict[str, Any]]:
        """Return the calls logged in the CRM."""
        match self.fake:
            case FakeZoho():
                return self.fake.records["Calls"]
            case FakeOdoo():
                return self.fake.tables["mail.message"]
            case FakeHubSpot() | FakePipedrive():
                return self.fake.calls
            case FakeSalesforce():
                return self.fake.tables["Task"]
        raise AssertionError

    def tasks(self) -> list[dict[str, Any]]:
        """Return the tasks in the CRM."""
        match self.fake:
            case FakeZoho():
                return self.fake.records["Tasks"]
            case FakeOdoo():
                return self.fake.tables["mail.activity"]
            case FakeHubSpot():
                return self.fake.tasks
            case FakePipedrive():
                return [one for one in self.fake.activities if not one["done"]]
            case FakeSalesforce():
                return [one for one in self.fake.tables["Task"] if one["Status"] == "Not Started"]
        raise AssertionError

    def shown(self) -> str:
        """Return what people see of the calls in the CRM."""
        match self.fake:
            case FakePipedrive():
                return str(self.fake.activities)
            case _:
                return str(self.logged())


def hubspot(url: str, **options: Any) -> Crm:
    options = {"token": "pat-token-of-the-tests", "others_per_second": 1000.0, **options}
    return HubSpot(url=url, **_patient(options))


def zoho(url: str, **options: Any) -> Crm:
    options.setdefault("token", "1000.token-of-the-tests-0")
    return Zoho(url=url, accounts=url, **_patient(options))


def odoo(url: str, **options: Any) -> Crm:
    return Odoo(url, **_patient({"token": "odoo-key-of-the-tests", **options}))


def pipedrive(url: str, **options: Any) -> Crm:
    return Pipedrive(url=url, **_patient({"token": "pipedrive-token-of-the-tests", **options}))


def salesforce(url: str, **options: Any) -> Crm:
    return Salesforce(url, **_patient({"token": "00D5g!token-of-the-tests", **options}))


def _patient(options: dict[str, Any]) -> dict[str, Any]:
    """Long timeout and high rate limit, for tests on a busy machine."""
    return {"timeout": 30.0, "per_second": 1000.0, **options}


CRMS: dict[str, tuple[Callable[[], AnyFake], Connect]] = {
    "hubspot": (FakeHubSpot, hubspot),
    "zoho": (FakeZoho, zoho),
    "odoo": (FakeOdoo, odoo),
    "pipedrive": (FakePipedrive, pipedrive),
    "salesforce": (FakeSalesforce, salesforce),
}


def engagement_of(contact: Contact | None = None, **fields: Any) -> Engagement:
    whole: dict[str, Any] = {
        "key": KEY,
        "begun": datetime(2026, 11, 22, 8, 0, tzinfo=UTC),
        "caller": Number.parse("030 23125000", "DE"),
        "ivr": "8000",
        "contact": contact,
        "owner": contact.owner if contact else "",
        "outcome": "forwarded",
        "destination": "222",
        "seconds": 0.25,
    }
    return Engagement(**(whole | fields))
