"""Pipedrive, v1 and v2, as its own client describes them; see `handlers.crm.pipedrive`."""

from __future__ import annotations

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.handlers.crm.faking import Fake, digits

USER = {"id": 11, "name": "Ada Lovelace", "email": "ada@example.com", "active_flag": True}
_OUTCOMES = {"connected", "no_answer", "left_message", "left_voicemail", "wrong_number", "busy"}
_TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


class FakePipedrive(Fake):
    def __init__(self, token: str = "pipedrive-token-of-the-tests", page: int = 100) -> None:
        super().__init__()
        self.token = token
        self.page = page
        self.persons: list[dict[str, Any]] = []
        self.activities: list[dict[str, Any]] = []
        self.calls: list[dict[str, Any]] = []

    def add(self, phone: str, name: str, *, owner: int | None = 11) -> str:
        person = {
            "id": 500 + len(self.persons),
            "type": "person",
            "name": name,
            "phones": [phone],
            "emails": [],
            "owner": {"id": owner} if owner else None,
            "organization": None,
        }
        self.persons.append(person)
        return str(person["id"])

    async def serve(self, request: Request) -> Response:
        given = (request.headers.get("x-api-token"), request.headers.get("Authorization"))
        if given not in ((self.token, None), (None, f"Bearer {self.token}")):
            return self.refused(401, "unauthorized access")
        path = request.url.path
        if path == "/api/v2/persons/search":
            return self._search(request)
        if path == "/api/v2/activities" and request.method == "GET":
            return self._activities(request)
        if path == "/api/v2/activities":
            return self._add(await request.json())
        if found := re.fullmatch(r"/api/v2/activities/(\d+)", path):
            return self._update(request.method, int(found[1]), await request.json())
        if found := re.fullmatch(r"/v1/users/(\d+)", path):
            if int(found[1]) != USER["id"]:
                return self.refused(404, "User not found")
            return JSONResponse({"success": True, "data": USER})
        if path == "/v1/callLogs" and request.method == "POST":
            return self._call(await request.json())
        return self.refused(404, "Unknown method")

    def refused(self, status: int, code: str) -> Response:
        said = {"success": False, "error": code, "errorCode": status, "error_info": "see the docs"}
        return JSONResponse(said, status)

    def _search(self, request: Request) -> Response:
        query = request.query_params
        term, exact = query.get("term", ""), query.get("exact_match") == "true"
        if len(term) < (1 if exact else 2):
            return self.refused(400, "term must be at least 2 characters long")
        if query.get("fields") != "phone":
            return self.refused(400, "this fake looks for phones only")
        found = [
            person
            for person in self.persons
            for phone in person["phones"]
            if (phone == term if exact else digits(term) in digits(phone) or term in phone)
        ]
        items = [{"result_score": 0.5, "item": one} for one in found[: int(query["limit"])]]
        further = {"additional_data": {"next_cursor": None}}
        return JSONResponse({"success": True, "data": {"items": items}} | further)

    def _activities(self, request: Request) -> Response:
        query = request.query_params
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", query["updated_since"])
        person, begin = query.get("person_id"), int(query.get("cursor", 0))
        found = [one for one in self.activities if person in (None, str(one["person_id"]))]
        end = begin + min(self.page, int(query["limit"]))
        cursor = str(end) if end < len(found) else None
        said = {"data": found[begin:end], "additional_data": {"next_cursor": cursor}}
        return JSONResponse({"success": True, **said})

    def _call(self, row: dict[str, Any]) -> Response:
        times = [row.get("start_time", ""), row.get("end_time", "")]
        if row.get("outcome") not in _OUTCOMES or not row.get("to_phone_number"):
            return self.refused(400, "outcome or to_phone_number is missing or wrong")
        if not all(re.fullmatch(_TIME, time) for time in times):
            return self.refused(400, "start_time and end_time are needed")
        activity = {"id": len(self.activities), "type": "call", "subject": row.get("subject")}
        activity |= {"note": row.get("note", ""), "done": True}
        self.activities.append(activity | {"person_id": row.get("person_id")})
        self.calls.append({"id": f"{len(self.calls):032x}", "activity_id": activity["id"], **row})
        return JSONResponse({"success": True, "data": self.calls[-1]})

    def _add(self, row: dict[str, Any]) -> Response:
        known = {"subject", "type", "due_date", "done", "participants", "owner_id"}
        if not row.get("subject") or row.keys() - known:
            return self.refused(400, "subject is missing, or a field is unknown")
        person = next((one["person_id"] for one in row.get("participants", ())), None)
        self.activities.append({"id": len(self.activities), "person_id": person, **row})
        return JSONResponse({"success": True, "data": self.activities[-1]})

    def _update(self, method: str, record: int, row: dict[str, Any]) -> Response:
        if method != "PATCH" or record >= len(self.activities):
            return self.refused(404, "Activity not found")
        if not re.fullmatch(r"\d\d:\d\d", row.get("duration", "00:00")):
            return self.refused(400, "duration must be HH:MM")
        self.activities[record].update(row)
        return JSONResponse({"success": True, "data": self.activities[record]})
