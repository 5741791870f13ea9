"""Official clients work against the fakes, so the fakes have the form of the CRMs."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import (
    SalesforceExpiredSession,
    SalesforceGeneralError,
    SalesforceMalformedRequest,
    SalesforceResourceNotFound,
)

from tests.handlers.crm.connected import Stage
from tests.handlers.crm.fake_salesforce import USER

pytestmark = pytest.mark.asyncio(loop_scope="module")
INTEROP = Path(__file__).parents[2] / "interop"


class Plain(requests.Session):
    """simple-salesforce always uses https."""

    def request(self, method: Any, url: Any, *args: Any, **kwargs: Any) -> requests.Response:
        return super().request(method, url.replace("https://", "http://", 1), *args, **kwargs)


def salesforce(stage: Stage, **options: Any) -> Any:
    known = {"session_id": "00D5g!token-of-the-tests", "version": "60.0"}
    return Salesforce(instance_url=stage.url, session=Plain(), **(known | options))


async def test_simple_salesforce_finds_contacts_owners_and_tasks(
    staged: Callable[[str], Stage],
) -> None:
    stage = staged("salesforce")
    record = stage.fake.add("+49 30 23125000", "Grace Hopper")
    query = 'FIND {"493023125000"} IN PHONE FIELDS RETURNING Contact(Id, Name, OwnerId)'

    def run() -> None:
        judge = salesforce(stage)
        with judge.session:
            (contact,) = judge.search(query)["searchRecords"]
            assert (contact["Id"], contact["Name"]) == (record, "Grace Hopper")
            assert contact["attributes"]["type"] == "Contact"
            assert judge.User.get(contact["OwnerId"])["Email"] == USER["Email"]
            task = {"Subject": "judged", "Status": "Completed", "CallObject": "o'key"}
            made = judge.Task.create(task)
            assert made["success"]
            soql = "SELECT Id FROM Task WHERE CallObject = 'o\\'key'"
            assert [row["Id"] for row in judge.query(soql)["records"]] == [made["id"]]

    await asyncio.to_thread(run)


async def test_simple_salesforce_understands_the_errors(staged: Callable[[str], Stage]) -> None:
    stage = staged("salesforce")

    def run() -> None:
        judge, other = salesforce(stage), salesforce(stage, session_id="00D5g!another")
        old = salesforce(stage, version="19.0")
        with judge.session, other.session, old.session:
            with pytest.raises(SalesforceMalformedRequest, match="MALFORMED_SEARCH"):
                judge.search("FIND {1-1} IN PHONE FIELDS RETURNING Contact(Id)")
            with pytest.raises(SalesforceExpiredSession, match="INVALID_SESSION_ID"):
                other.query("SELECT Id FROM Task WHERE CallObject = 'x'")
            with pytest.raises(SalesforceResourceNotFound):
                judge.User.get("0055g00000NobodyAAA")
            with pytest.raises(SalesforceResourceNotFound):
                old.query("SELECT Id FROM Task WHERE CallObject = 'x'")
            stage.fake.trouble = "throttled"
            with pytest.raises(SalesforceGeneralError):
                judge.query("SELECT Id FROM Task WHERE CallObject = 'x'")

    await asyncio.to_thread(run)


async def test_pipedrives_own_client_finds_persons_owners_and_calls(
    staged: Callable[[str], Stage], program: Callable[[str], str]
) -> None:
    node = program("node")
    if not (INTEROP / "node_modules" / "pipedrive").exists():
        said = "Pipedrive's client is missing: npm ci --prefix tests/interop"
        pytest.fail(said) if os.environ.get("CI") else pytest.skip(said)
    stage = staged("pipedrive")
    record = stage.fake.add("+49 30 23125000", "Grace Hopper")
    arguments = (stage.url, stage.fake.token, "3023125000")
    script = str(INTEROP / "scripts" / "pipedrive.mjs")
    process = await asyncio.create_subprocess_exec(
        node, script, *arguments, stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()
    said = json.loads(printed)
    (item,) = said["found"]["data"]["items"]
    assert (str(item["item"]["id"]), item["item"]["phones"]) == (record, ["+49 30 23125000"])
    assert said["user"]["data"]["email"] == "ada@example.com"
    assert said["logged"]["data"]["subject"] == "judged"
    assert [one["subject"] for one in said["activities"]["data"]] == ["judged"]
    assert [said[name]["errorCode"] for name in ("short", "missing", "wrong")] == [400, 404, 400]
    assert stage.fake.requests[0].query == {"term": "3023125000", "fields": "phone", "limit": "10"}
