"""HubSpot v3, as its own client describes it; see `handlers.crm.hubspot`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.handlers.crm.faking import Fake, digits

OWNER = {
    "id": "77",
    "email": "ada@example.com",
    "firstName": "Ada",
    "lastName": "Lovelace",
    "userId": 7,
    "archived": False,
    "type": "PERSON",
    "createdAt": "2026-01-01T00:00:00Z",
    "updatedAt": "2026-01-01T00:00:00Z",
}
_SEARCH = {"after", "filterGroups", "limit", "properties", "sorts"}
_TIME = "2026-01-01T00:00:00Z"


class FakeHubSpot(Fake):
    """Attributes: ``unique``: the property of calls that has unique values; ``page``: associations
    in one answer."""

    def __init__(self, token: str = "pat-token-of-the-tests") -> None:
        super().__init__()
        self.token = token
        self.contacts: list[dict[str, Any]] = []
        self.calls: list[dict[str, Any]] = []
        self.tasks: list[dict[str, Any]] = []
        self.unique = ""
        self.page = 500

    def add(self, phone: str, name: str, *, owner: str | None = "77", **fields: str) -> str:
        first, _, last = name.partition(" ")
        properties = {"firstname": first, "lastname": last, "phone": phone, **fields}
        properties["hs_searchable_calculated_phone_number"] = _national(phone)
        if owner:
            properties["hubspot_owner_id"] = owner
        return self._keep(self.contacts, properties, 500)

    async def serve(self, request: Request) -> Response:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return self.refused(401, "INVALID_AUTHENTICATION")
        path = request.url.path
        if request.method == "POST" and path == "/crm/v3/objects/contacts/search":
            return self._search(self.contacts, await request.json())
        if request.method == "POST" and path == "/crm/v3/objects/calls/search":
            return self._search([] if self.late else self.calls, await request.json())
        if request.method == "POST" and path == "/crm/v3/objects/tasks/search":
            return self._search([] if self.late else self.tasks, await request.json())
        if request.method == "POST" and path == "/crm/v3/objects/calls":
            return self._call(await request.json())
        if request.method == "POST" and path == "/crm/v3/objects/tasks":
            return self._task(await request.json())
        if found := re.fullmatch(
            r"/crm/v3/objects/contacts/(\d+)/associations/(calls|tasks)", path
        ):
            return self._associated(found[1], found[2], request.query_params)
        if found := re.fullmatch(r"/crm/v3/objects/(calls|tasks)/batch/read", path):
            return self._read(found[1], await request.json())
        if request.method == "PATCH" and (
            found := re.fullmatch(r"/crm/v3/objects/calls/(\d+)", path)
        ):
            return self._update(found[1], await request.json())
        if found := re.fullmatch(r"/crm/v3/owners/(\d+)", path):
            if found[1] != OWNER["id"]:
                return self.refused(404, "OBJECT_NOT_FOUND")
            return JSONResponse(OWNER)
        return self.refused(404, "NOT_FOUND")

    def refused(self, status: int, code: str) -> Response:
        said = {
            "status": "error",
            "message": "see the docs",
            "correlationId": "c",
            "category": code,
        }
        return JSONResponse(said, status)

    def _search(self, rows: list[dict[str, Any]], body: dict[str, Any]) -> Response:
        groups = body.get("filterGroups", [])
        if set(body) != _SEARCH or not 0 < len(groups) <= 5 or not 0 < body["limit"] <= 200:
            return self.refused(400, "VALIDATION_ERROR")
        filters = [one for group in groups for one in group["filters"]]
        if any(one["operator"] not in ("EQ", "CONTAINS_TOKEN") for one in filters):
            return self.refused(400, "VALIDATION_ERROR")
        found = [
            row for row in rows if any(all(_holds(row, f) for f in g["filters"]) for g in groups)
        ]
        start, wanted = int(body["after"]), {*body["properties"], "createdate"}
        page = found[start : start + body["limit"]]
        shown = [
            {**row, "properties": {k: v for k, v in row["properties"].items() if k in wanted}}
            for row in page
        ]
        answer: dict[str, Any] = {"total": len(found), "results": shown}
        if start + len(page) < len(found):
            answer["paging"] = {"next": {"after": str(start + len(page))}}
        return JSONResponse(answer)

    def _associated(self, contact: str, kind: str, query: Mapping[str, str]) -> Response:
        if all(row["id"] != contact for row in self.contacts):
            return self.refused(404, "OBJECT_NOT_FOUND")
        rows = self.calls if kind == "calls" else self.tasks
        found = [row["id"] for row in rows if contact in row["associated"]]
        start, limit = int(query.get("after", 0)), min(self.page, int(query["limit"]))
        page = found[start : start + limit]
        answer: dict[str, Any] = {"results": [{"id": one, "type": "x"} for one in page]}
        if start + limit < len(found):
            answer["paging"] = {"next": {"after": str(start + limit), "link": "https://…"}}
        return JSONResponse(answer)

    def _read(self, kind: str, body: dict[str, Any]) -> Response:
        if set(body) != {"inputs", "properties", "propertiesWithHistory"}:
            return self.refused(400, "VALIDATION_ERROR")
        wanted = [one["id"] for one in body["inputs"]]
        if not 0 < len(wanted) <= 100:
            return self.refused(400, "VALIDATION_ERROR")
        rows = self.calls if kind == "calls" else self.tasks
        found = [
            {**row, "properties": {k: row["properties"].get(k) for k in body["properties"]}}
            for row in rows
            if row["id"] in wanted
        ]
        times = {"startedAt": _TIME, "completedAt": _TIME, "status": "COMPLETE"}
        return JSONResponse({"results": found, **times})

    def _call(self, body: dict[str, Any]) -> Response:
        properties = body["properties"]
        if not properties.get("hs_timestamp"):
            return self.refused(400, "VALIDATION_ERROR")
        taken = [row["properties"].get(self.unique) for row in self.calls]
        if self.unique and properties.get(self.unique) in taken:
            return self.refused(409, "CONFLICT")
        known = {row["id"] for row in self.contacts}
        if any(one["to"]["id"] not in known for one in body["associations"]):
            return self.refused(400, "VALIDATION_ERROR")
        whose = self._keep(self.calls, properties, 900)
        self.calls[-1]["associated"] = [one["to"]["id"] for one in body["associations"]]
        return JSONResponse({**self.calls[-1], "id": whose}, 201)

    def _update(self, record: str, body: dict[str, Any]) -> Response:
        for row in self.calls:
            if row["id"] == record:
                row["properties"].update(body["properties"])
                return JSONResponse(row)
        return self.refused(404, "OBJECT_NOT_FOUND")

    def _task(self, body: dict[str, Any]) -> Response:
        known = {row["id"] for row in self.contacts}
        if any(one["to"]["id"] not in known for one in body["associations"]):
            return self.refused(400, "VALIDATION_ERROR")
        if not body["properties"].get("hs_timestamp"):
            return self.refused(400, "VALIDATION_ERROR")
        whose = self._keep(self.tasks, body["properties"], 700)
        self.tasks[-1]["associated"] = [one["to"]["id"] for one in body["associations"]]
        return JSONResponse({**self.tasks[-1], "id": whose}, 201)

    def _keep(self, rows: list[dict[str, Any]], properties: dict[str, str], first: int) -> str:
        times = {"createdAt": _TIME, "updatedAt": _TIME, "archived": False}
        rows.append({"id": str(first + len(rows)), "properties": properties, **times})
        return str(rows[-1]["id"])


def _holds(row: dict[str, Any], one: dict[str, str]) -> bool:
    """``EQ`` compares as typed: a number in another form is another value."""
    stored = row["properties"].get(one["propertyName"], "")
    if one["operator"] == "EQ":
        return bool(stored == one["value"])
    if one["value"].startswith("*"):
        return bool(stored.endswith(one["value"][1:]))
    return one["value"] in re.findall(r"\w+", stored)


def _national(phone: str) -> str:
    """HubSpot's own form of a number: digits, national, of Germany and of the USA here."""
    return re.sub(r"^(49|1|0)", "", digits(phone))
