"""A PBX in memory: what it holds, and which action URL a key press or a caller fires.

Rule 1: pure. Ids come from a counter that is passed in; no clock, no network, no chance.
Rule 2: what is stored went through the vendor's limits (`receiver.simulator.tables`); but a mask
        may be any text, as at the PBX, and one that cannot be read never fires.
Rule 3: where the vendor says nothing the PBX here has a `Behaviour`, one switch for each guess.

Source: the PBX's REST API, and "Managing Virtual Receptionist" in the administration guide.
"""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterator
from typing import Literal

from receiver.actions import Kind
from receiver.errors import MaskError
from receiver.masks import All, Mask, Pattern
from receiver.pbx import models
from receiver.simulator import tables
from receiver.simulator.behaviour import Behaviour
from receiver.simulator.collection import Collection
from receiver.simulator.schema import Context, Fault, Field, Json, invalid, missing
from receiver.simulator.uploads import Blob, media_type

__all__ = ["Behaviour", "Pbx"]

_FIRST_ID = 700551909773148160  # the vendor's example, NzAwNTUxOTA5NzczMTQ4MTYw
_SINCE: dict[type, Literal["22.2", "22.6"]] = {Pattern: "22.2", All: "22.6"}

Type = Literal["EXTENSION", "RING_GROUP", "CALL_QUEUE", "CONFERENCE_ROOM"]
"""What answers at an extension number, if it is no IVR."""


class Pbx:
    """A PBX of one tenant.

    Parameters:
        behaviour: may be replaced at any time; the ids already given stay.
        numbers: gives the numbers that ids are made of, each once.

    Attributes:
        ivrs, holidays, ivr_servers, files: what it holds, as collections. There is one built-in
            server from the beginning.
        offline: extension numbers of IVRs whose status is ``OFFLINE``; to be changed at will.
        unreachable: numbers to which no call can be put through; to be changed at will.
        night_mode: whether the tenant's night mode is on; an IVR has a switch of its own, too.
        office_hours: the tenant's, as the days of a menu entry (`receiver.simulator.hours`); None
            for always open.
        tenant: the id of its tenant.
    """

    def __init__(
        self, behaviour: Behaviour | None = None, *, numbers: Iterator[int] | None = None
    ) -> None:
        self.behaviour = behaviour or Behaviour()
        self._numbers = numbers if numbers is not None else itertools.count(_FIRST_ID)
        self.ivrs = self._collection("IVR", tables.IVR)
        self.holidays = self._collection("holiday", tables.HOLIDAY)
        self.files = self._collection("file", tables.FILE)
        self.ivr_servers = Collection(
            "IVR server", tables.IVR_SERVER, self._context, self._new_id, tables.server_problem
        )
        self.ivr_servers.put(
            {"name": "built-in", "enabled": True, "ipv4": "127.0.0.1", "type": "INTERNAL"},
            self._id_of(_FIRST_ID - 2),
        )
        self.offline: set[str] = set()
        self.unreachable: set[str] = set()
        self.night_mode = False
        self.office_hours: Json | None = None
        self.tenant = self._id_of(_FIRST_ID - 1)
        self._action_urls: dict[str, Collection] = {}
        self._extensions: dict[str, Json] = {}

    # What the API changes ----------------------------------------------------------------------
    def create_ivr(self, data: object) -> str:
        """Create an IVR as the API does: within the quota, at a number that nothing else has.

        Raises:
            Fault: 400, it breaks a limit; 403, the quota is used up.
        """
        if len(self.ivrs) >= self.behaviour.quota:
            raise Fault(403, "QUOTA_EXCEEDED", "the tenant has no more virtual receptionists")
        if isinstance(data, dict) and str(data.get("extension_number")) in self._extensions:
            raise invalid("extension_number", "is taken already")
        return self.ivrs.create(data)

    def destroy_ivr(self, ivr_id: str) -> None:
        """Forget an IVR together with its action URLs; errors as for `Collection.destroy`."""
        self.ivrs.destroy(ivr_id)
        self._action_urls.pop(ivr_id, None)

    def action_urls(self, ivr_id: str) -> Collection:
        """The action URLs of one IVR.

        Raises:
            Fault: 404, there is no such IVR.
        """
        self.ivrs.stored(ivr_id)
        if ivr_id not in self._action_urls:
            self._action_urls[ivr_id] = self._collection("action URL", tables.ACTION_URL)
        return self._action_urls[ivr_id]

    def create_ivr_server(self, data: object) -> str:
        """Create a server outside of the PBX; errors as for `Collection.create`."""
        key = self.ivr_servers.create(data)
        self.ivr_servers.stored(key)["type"] = "EXTERNAL"
        return key

    def destroy_ivr_server(self, server_id: str) -> None:
        """Forget a server.

        Raises:
            Fault: 404, there is no such server; 400, it is the one built in.
        """
        if self.ivr_servers.stored(server_id)["type"] == "INTERNAL":
            raise invalid("the server", "is built in and stays")
        self.ivr_servers.destroy(server_id)

    def add_file(self, blob: Blob, created_at: str) -> str:
        """Make a file of uploaded bytes, give its id."""
        name = blob.filename or blob.digest
        return self.files.put(
            {
                "name": name,
                "size": len(blob.data),
                "media_type": media_type(name),
                "created_at": created_at,
                "digest": blob.digest,
                "url": f"/api/blobs/{blob.digest}",
            }
        )

    # What is at a number -----------------------------------------------------------------------
    def add_extension(self, number: str, name: str = "", kind: Type = "EXTENSION") -> str:
        """Have something that is no IVR answer at an extension number; its id."""
        key = self._new_id()
        values = {"id": key, "extension_number": number, "name": name, "type": kind}
        self._extensions[number] = values
        return key

    def at(self, number: str) -> Json:
        """What answers at an extension number: ``id``, ``extension_number``, ``name``, ``type``.

        Raises:
            Fault: 404, nothing does.
        """
        if number in self._extensions:
            return self._extensions[number]
        if (ivr := self.ivr_at(number)) is None:
            raise missing("extension")
        found = {"id": ivr.id, "extension_number": ivr.extension_number, "name": ivr.name}
        return {**found, "type": "VIRTUAL_RECEPTIONIST"}

    def ivr_at(self, extension: str) -> models.IvrSummary | None:
        """The IVR that answers at an extension number, None if there is none."""
        for item in self.ivrs:
            if item["extension_number"] == extension:
                return models.read(models.IvrSummary, item)
        return None

    def fires(self, extension: str, kind: Kind, number: str) -> models.ActionUrl | None:
        """The action URL that the PBX asks; None if it asks none.

        An exact number in a mask beats a range, a range beats ``*``, ``*`` beats ``ALL``, and of
        equals the one created first is asked. That order is a guess: the vendor names none. A
        mask with an entry of a form that the version does not know never fires.

        Parameters:
            extension: the extension number of the IVR.
            kind: ``"CALLER"`` when the call arrives, ``"DTMF"`` when digits were keyed in.
            number: the caller's number, or the digits.
        """
        ivr = self.ivr_at(extension)
        if ivr is None:
            return None
        ranked = []
        for item in self.action_urls(ivr.id):
            action = models.read(models.ActionUrl, item)
            if action.enabled and action.type == kind:
                rank = _rank(action, number, self.behaviour)
                if rank is not None:
                    ranked.append((rank, action))
        return min(ranked, key=lambda pair: pair[0])[1] if ranked else None  # the first of equals

    # Within ------------------------------------------------------------------------------------
    def _collection(self, what: str, fields: tuple[Field, ...]) -> Collection:
        return Collection(what, fields, self._context, self._new_id)

    def _context(self) -> Context:
        return Context(self.behaviour, self._find)

    def _find(self, kind: str, key: str) -> Json | None:
        return {"file": self.files, "holiday": self.holidays}[kind].find(key)

    def _new_id(self) -> str:
        return self._id_of(next(self._numbers))

    def _id_of(self, number: int) -> str:
        text = str(number)
        if self.behaviour.ids == "decimal":
            return text
        return base64.b64encode(text.encode()).decode()


def _rank(action: models.ActionUrl, number: str, behaviour: Behaviour) -> int | None:
    try:
        mask = Mask.parse(action.mask)
    except MaskError:
        return None
    if any(not behaviour.has(_SINCE.get(type(entry), "22.0")) for entry in mask):
        return None
    if action.type == "CALLER" and All() in mask.entries:
        return None  # documented for what is keyed in only
    return mask.rank(number)
