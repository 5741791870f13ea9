"""Salesforce's REST interface, as its documentation describes it; see `handlers.crm.salesforce`."""

from __future__ import annotations

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.handlers.crm.faking import Fake, digits

GRANT = {
    "grant_type": "client_credentials",
    "client_id": "3MVG9.client-of-the-tests",
    "client_secret": "client-secret-of-the-tests",
}
USER = {"Id": "0055g00000Ada01AAA", "Name": "Ada Lovelace", "Email": "ada@example.com"}
VERSIONS = ("v59.0", "v60.0", "v64.0")
_SOSL = re.compile(
    r"FIND \{(?P<terms>.*)\} IN PHONE FIELDS"
    r" RETURNING (?P<objects>[\w(), .=]+?)(?: LIMIT (?P<most>\d+))?",
    re.DOTALL,
)
_PHRASE = re.compile(r'"(?:[^?&|!{}\[\]()^~*:\\"\'+\-]|\\.)+"')
_PHRASES = re.compile(f"{_PHRASE.pattern}(?: OR {_PHRASE.pattern})*")
_SOQL = re.compile(r"SELECT ([\w, ]+) FROM (\w+) WHERE (\w+) = '((?:[^'\\]|\\.)*)'(?: LIMIT \d+)?")


class FakeSalesforce(Fake):
    def __init__(self, token: str = "00D5g!token-of-the-tests") -> None:
        super().__init__()
        self.tokens = {token}
        self.made = 0
        self.tables: dict[str, list[dict[str, Any]]] = {
            "Contact": [],
            "Lead": [],
            "User": [dict(USER)],
            "Task": [],
        }

    def add(self, phone: str, name: str, *, kind: str = "Contact", owner: str = USER["Id"]) -> str:
        prefix = {"Contact": "003", "Lead": "00Q"}[kind]
        record = f"{prefix}5g{len(self.tables[kind]):010}AAA"
        row = {"Id": record, "Name": name, "OwnerId": owner, "Phone": phone, "IsConverted": False}
        self.tables[kind].append(row)
        return record

    async def serve(self, request: Request) -> Response:
        if request.url.path == "/services/oauth2/token":
            return await self._token(request)
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or token not in self.tokens:
            return self.refused(401, "INVALID_SESSION_ID")
        found = re.fullmatch(r"/services/data/(v\d+\.0)/(.+?)/?", request.url.path)
        if found is None or found[1] not in VERSIONS:
            return self.refused(404, "NOT_FOUND")
        path = found[2]
        if path == "search":
            return self._search(request.query_params["q"])
        if path == "query":
            return self._query(request.query_params["q"])
        if path == "sobjects/Task" and request.method == "POST":
            return self._task(await request.json())
        if (found := re.fullmatch(r"sobjects/Task/(\w+)", path)) and request.method == "PATCH":
            return self._update(found[1], await request.json())
        if found := re.fullmatch(r"sobjects/User/(\w+)", path):
            users = [row for row in self.tables["User"] if row["Id"] == found[1]]
            return JSONResponse(users[0]) if users else self.refused(404, "NOT_FOUND")
        return self.refused(404, "NOT_FOUND")

    def refused(self, status: int, code: str) -> Response:
        return JSONResponse([{"errorCode": code, "message": "said in words"}], status)

    async def _token(self, request: Request) -> Response:
        async with request.form() as form:
            if dict(form) != GRANT:
                return JSONResponse({"error": "invalid_client_id", "error_description": "?"}, 400)
        self.made += 1
        self.tokens = {f"00D5g!token-of-the-tests-{self.made}"}
        return JSONResponse({"access_token": next(iter(self.tokens)), "token_type": "Bearer"})

    def _search(self, query: str) -> Response:
        """Phrases of SOSL, whole ones; a number is known without its punctuation."""
        found = _SOSL.fullmatch(query)
        if found is None or not _PHRASES.fullmatch(found["terms"]):
            return self.refused(400, "MALFORMED_SEARCH")
        wanted = {digits(phrase) for phrase in _PHRASE.findall(found["terms"])} - {""}
        records = []
        for kind, columns, only in re.findall(
            r"(\w+)\(([\w, .]*?)( WHERE IsConverted = false)?\)", found["objects"]
        ):
            for row in self.tables[kind]:
                if digits(row["Phone"]) in wanted and not (only and row["IsConverted"]):
                    fields = {name: row[name] for name in columns.split(", ")}
                    records.append({"attributes": {"type": kind, "url": "/…"}} | fields)
        return JSONResponse({"searchRecords": records[: int(found["most"] or 200)]})

    def _query(self, query: str) -> Response:
        found = _SOQL.fullmatch(query)
        if found is None:
            return self.refused(400, "MALFORMED_QUERY")
        columns, kind, field, value = found.groups()
        value = re.sub(r"\\(.)", r"\1", value)
        records = [
            {"attributes": {"type": kind}} | {name: row[name] for name in columns.split(", ")}
            for row in self.tables[kind]
            if row.get(field) == value
        ]
        return JSONResponse({"totalSize": len(records), "done": True, "records": records})

    def _task(self, row: dict[str, Any]) -> Response:
        if not {"Subject", "Status"} <= set(row) or row.get("OwnerId", "005")[:3] != "005":
            return self.refused(400, "REQUIRED_FIELD_MISSING")
        record = f"00T5g{len(self.tables['Task']):010}AAA"
        self.tables["Task"].append({"Id": record, **row})
        return JSONResponse({"id": record, "success": True, "errors": []}, 201)

    def _update(self, record: str, row: dict[str, Any]) -> Response:
        for task in self.tables["Task"]:
            if task["Id"] == record:
                task.update(row)
                return Response(status_code=204)
        return self.refused(404, "NOT_FOUND")
