"""Zoho CRM v8, as its OpenAPI files and its documentation describe it; see `handlers.crm.zoho`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.handlers.crm.faking import Fake, digits

REFRESH = {
    "grant_type": "refresh_token",
    "refresh_token": "1000.refresh-token-of-the-tests",
    "client_id": "1000.CLIENT",
    "client_secret": "client-secret-of-the-tests",
}
USER = {"id": "4876876000000333001", "full_name": "Ada Lovelace", "email": "ada@example.com"}
OWNER = {"id": USER["id"], "name": USER["full_name"], "email": USER["email"]}
PHONES = ("Phone", "Mobile", "Home_Phone", "Other_Phone")


class FakeZoho(Fake):
    def __init__(self, token: str = "1000.token-of-the-tests-0") -> None:
        super().__init__()
        self.tokens = {token}
        self.made = 0
        self.denied = False
        self.unique = ""
        self.fixed_type = False  # whether the type of a call cannot be changed
        self.contains = False  # whether a search for a number returns all records
        self.records: dict[str, list[dict[str, Any]]] = {"Contacts": [], "Leads": [], "Calls": []}
        self.records["Tasks"] = []

    def add(self, phone: str, name: str, *, module: str = "Contacts", **fields: Any) -> str:
        record = f"48768760000{sum(map(len, self.records.values())):08}"
        row = {"id": record, "Full_Name": name, "Phone": phone, "Owner": OWNER, **fields}
        self.records[module].append(row)
        return f"{module}/{record}"

    async def serve(self, request: Request) -> Response:
        path = request.url.path
        if path == "/oauth/v2/token":
            return await self._token(request)
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Zoho-oauthtoken" or token not in self.tokens:
            return self.refused(401, "INVALID_TOKEN")
        if found := re.fullmatch(r"/crm/v8/(\w+)/search", path):
            return self._search(request, found[1])
        if found := re.fullmatch(r"/crm/v8/users/(\d+)", path):
            users = [USER] if found[1] == USER["id"] else []
            return JSONResponse({"users": users}) if users else Response(status_code=204)
        if (found := re.fullmatch(r"/crm/v8/(\w+)", path)) and request.method == "GET":
            return self._latest(found[1], request.query_params)
        if path == "/crm/v8/Calls" and request.method == "POST":
            return self._call((await request.json())["data"][0])
        if path == "/crm/v8/Tasks" and request.method == "POST":
            return self._task((await request.json())["data"][0])
        if (found := re.fullmatch(r"/crm/v8/Calls/(\d+)", path)) and request.method == "PUT":
            return self._update(found[1], (await request.json())["data"][0])
        return self.refused(404, "INVALID_URL_PATTERN")

    def refused(self, status: int, code: str) -> Response:
        said = {"code": code, "details": {}, "message": "said in words", "status": "error"}
        return JSONResponse(said, status)

    async def _token(self, request: Request) -> Response:
        async with request.form() as form:
            if self.denied:  # with 200, as Zoho does
                return JSONResponse({"error": "Access Denied", "status": "failure"})
            if dict(form) != REFRESH:
                return JSONResponse({"error": "invalid_client"})
        self.made += 1
        self.tokens = {f"1000.token-of-the-tests-{self.made}"}
        said = {"access_token": next(iter(self.tokens)), "expires_in": 3600, "token_type": "Bearer"}
        return JSONResponse(said)

    def _search(self, request: Request, module: str) -> Response:
        query = request.query_params
        if module not in self.records:
            return self.refused(400, "INVALID_MODULE")
        if "phone" in query:
            wanted = digits(query["phone"])
            found = [
                row
                for row in self.records[module]
                if self.contains or any(digits(row.get(field, "")) == wanted for field in PHONES)
            ]
        elif criteria := re.fullmatch(r"\((\w+):starts_with:([^()]+)\)", query.get("criteria", "")):
            field, begin = criteria.groups()
            found = [row for row in self.records[module] if row[field].startswith(begin)]
            found = [] if self.late else found
        else:
            return self.refused(400, "EXPECTED_PARAM_MISSING")
        found = found[: int(query.get("per_page", 200))]
        if not found:
            return Response(status_code=204)
        if "fields" in query:
            keys = {"id", *query["fields"].split(",")}
            found = [{key: row[key] for key in row if key in keys} for row in found]
        return JSONResponse({"data": found, "info": {"count": len(found), "more_records": False}})

    def _latest(self, module: str, query: Mapping[str, str]) -> Response:
        """Return the latest records; Zoho requires the names of the fields."""
        if not query.get("fields") or not 0 < int(query["per_page"]) <= 200:
            return self.refused(400, "REQUIRED_PARAM_MISSING")
        if (query["sort_by"], query["sort_order"]) != ("Created_Time", "desc"):
            return self.refused(400, "INVALID_DATA")
        keys = {"id", *query["fields"].split(",")}
        found = self.records[module][: -int(query["per_page"]) - 1 : -1]
        shown = [{key: row[key] for key in row if key in keys} for row in found]
        return JSONResponse({"data": shown}) if shown else Response(status_code=204)

    def _call(self, row: dict[str, Any]) -> Response:
        for field in ("Call_Start_Time", "Call_Type", "Call_Duration"):
            if not row.get(field):
                return self._result(400, "MANDATORY_NOT_FOUND")
        if (
            not re.fullmatch(r"\d\d:\d\d", row["Call_Duration"])
            or "+" not in row["Call_Start_Time"]
        ):
            return self._result(400, "INVALID_DATA")
        calls = self.records["Calls"]
        if self.unique and any(call[self.unique] == row[self.unique] for call in calls):
            return self._result(400, "DUPLICATE_DATA")
        calls.append({"id": f"48768761{len(calls):08}", **row})
        return self._result(201, "SUCCESS", calls[-1]["id"])

    def _task(self, row: dict[str, Any]) -> Response:
        if not row.get("Subject"):
            return self._result(400, "MANDATORY_NOT_FOUND")
        tasks = self.records["Tasks"]
        tasks.append({"id": f"48768762{len(tasks):08}", **row})
        return self._result(201, "SUCCESS", tasks[-1]["id"])

    def _update(self, record: str, row: dict[str, Any]) -> Response:
        found = [call for call in self.records["Calls"] if call["id"] == record]
        if not found:
            return self._result(404, "INVALID_DATA")
        if not re.fullmatch(r"\d\d:\d\d", row.get("Call_Duration", "00:00")):
            return self._result(400, "INVALID_DATA")
        if self.fixed_type and "Call_Type" in row:
            return self._result(400, "INVALID_DATA")
        found[0].update(row)
        return self._result(200, "SUCCESS", record)

    def _result(self, status: int, code: str, record: str = "") -> Response:
        details = {"id": record} if record else {}
        result = {"code": code, "details": details, "status": "success" if record else "error"}
        return JSONResponse({"data": [result]}, status)
