"""Odoo 19's External JSON-2 API, as its documentation describes it; see `handlers.crm.odoo`."""

from __future__ import annotations

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.handlers.crm.faking import Fake, digits

USER = {"id": 7, "name": "Ada Lovelace", "email": "ada@example.com", "login": "ada"}
_FIELDS = {
    "res.partner": {"id", "name", "phone", "phone_sanitized", "phone_mobile_search", "user_id"},
    "res.users": set(USER),
    "mail.message": {"id", "model", "res_id", "body"},
    "mail.activity": {"id", "res_model", "res_id", "summary", "date_deadline", "user_id"},
}


class Wrong(Exception):
    """An error, by its status and the name of Odoo's exception."""


class FakeOdoo(Fake):
    def __init__(self, token: str = "odoo-key-of-the-tests", database: str = "") -> None:
        super().__init__()
        self.token = token
        self.database = database
        self.tables: dict[str, list[dict[str, Any]]] = {
            "res.partner": [],
            "res.users": [dict(USER)],
            "mail.message": [],
            "mail.activity": [],
        }

    def add(self, phone: str, name: str, *, sanitized: str = "", owner: bool = True) -> str:
        row = {
            "id": 40 + len(self.tables["res.partner"]),
            "name": name,
            "phone": phone,
            "phone_sanitized": sanitized,
            "user_id": [USER["id"], USER["name"]] if owner else False,
        }
        self.tables["res.partner"].append(row)
        return str(row["id"])

    async def serve(self, request: Request) -> Response:
        found = re.fullmatch(r"/json/2/([a-z.]+)/(\w+)", request.url.path)
        if request.method != "POST" or not found or found[1] not in self.tables:
            return self.refused(404, "werkzeug.exceptions.NotFound")
        if self.database and request.headers.get("X-Odoo-Database") != self.database:
            return self.refused(404, "werkzeug.exceptions.NotFound")
        if request.headers.get("Authorization") != f"bearer {self.token}":
            return self.refused(401, "werkzeug.exceptions.Unauthorized")
        body, method = await request.json(), found[2]
        try:
            if method == "search_read":
                return JSONResponse(self._read(found[1], **body))
            if (found[1], method) == ("res.partner", "message_post"):
                return JSONResponse(self._post(**body))
            if (found[1], method) == ("mail.message", "write"):
                return JSONResponse(self._write(**body))
            if (found[1], method) == ("res.partner", "activity_schedule"):
                return JSONResponse(self._schedule(**body))
        except Wrong as wrong:
            return self.refused(*wrong.args)
        return self.refused(404, "builtins.AttributeError")

    def refused(self, status: int, code: str) -> Response:
        words = "Invalid value: what was sent"
        said = {"name": code, "message": words, "arguments": [words], "context": {}, "debug": words}
        return JSONResponse(said, status)

    def _read(
        self, model: str, domain: list[Any], fields: list[str], limit: int
    ) -> list[dict[str, Any]]:
        searched = {term[0] for term in domain if isinstance(term, list)}
        if not {*fields, *searched} <= _FIELDS[model]:
            raise Wrong(500, "builtins.ValueError")
        found = [row for row in self.tables[model] if self._fits(model, row, list(domain))]
        return [{key: row[key] for key in {"id", *fields}} for row in found[:limit]]

    def _fits(self, model: str, row: dict[str, Any], domain: list[Any]) -> bool:
        """Polish notation; terms without an operator before them must all fit."""
        fits = []
        while domain:
            fits.append(self._term(model, row, domain))
        return all(fits)

    def _term(self, model: str, row: dict[str, Any], domain: list[Any]) -> bool:
        term = domain.pop(0)
        if term in ("|", "&"):
            both = self._term(model, row, domain), self._term(model, row, domain)
            return any(both) if term == "|" else all(both)
        field, operator, value = term
        if operator not in ("=", "like"):
            raise Wrong(500, "builtins.ValueError")
        if field == "phone_mobile_search":
            if len(value) < 3:
                raise Wrong(422, "odoo.exceptions.UserError")
            return _national(row["phone"]) == _national(value)
        stored = row[field]
        return bool(stored == value if operator == "=" else value in stored)

    def _post(self, ids: list[int], body: str, message_type: str, subtype_xmlid: str) -> int:
        if not any(row["id"] == ids[0] for row in self.tables["res.partner"]):
            raise Wrong(404, "odoo.exceptions.MissingError")
        assert (message_type, subtype_xmlid) == ("comment", "mail.mt_note")
        notes = self.tables["mail.message"]
        record = 900 + len(notes)
        notes.append({"id": record, "model": "res.partner", "res_id": ids[0], "body": body})
        return record

    def _write(self, ids: list[int], vals: dict[str, Any]) -> bool:
        found = [row for row in self.tables["mail.message"] if row["id"] in ids]
        if not found or vals.keys() - {"body"}:
            raise Wrong(404, "odoo.exceptions.MissingError")
        found[0].update(vals)
        return True

    def _schedule(
        self,
        ids: list[int],
        act_type_xmlid: str,
        summary: str,
        date_deadline: str,
        user_id: int | bool = False,
    ) -> int:
        if not any(row["id"] == ids[0] for row in self.tables["res.partner"]):
            raise Wrong(404, "odoo.exceptions.MissingError")
        assert act_type_xmlid == "mail.mail_activity_data_call"
        record = 700 + len(self.tables["mail.activity"])
        row: dict[str, Any] = {"id": record, "res_model": "res.partner"}
        row |= {"res_id": ids[0], "summary": summary, "date_deadline": date_deadline}
        self.tables["mail.activity"].append(row | {"user_id": user_id})
        return record


def _national(phone: str) -> str:
    """Without punctuation; ``+`` and ``00`` are one."""
    bare = digits(phone)
    if phone.startswith("+") or bare.startswith("00"):
        return "+" + bare.removeprefix("00")
    return bare
