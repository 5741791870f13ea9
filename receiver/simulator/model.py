"""A PBX in memory: its resources, and the matching of action URLs.

Rule 1: pure. Ids come from a counter that is passed in; no clock, network or randomness.
Rule 2: stored resources are within the vendor's limits (`receiver.pbx.fields`); but a mask may be
        any text, as on the PBX, and an invalid one never matches.
Rule 3: where it is not documented, a `Behaviour` has one switch for each guess.

Source: the PBX's REST API, and "Managing Virtual Receptionist" in the administration guide.
"""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterator
from typing import Literal

from receiver.calls import Kind
from receiver.errors import DeclarationError, MaskError
from receiver.masks import All, Mask, Pattern
from receiver.pbx import models
from receiver.pbx.audio import examine
from receiver.pbx.fields import Model
from receiver.pbx.models_events import TenantEvents
from receiver.pbx.resource_types import (
    ACTION_URL,
    FILE,
    HOLIDAY,
    IVR,
    SERVER,
    TOP_LEVEL,
    ResourceType,
)
from receiver.simulator.behaviour import Behaviour
from receiver.simulator.blob_store import Blob, media_type
from receiver.simulator.collection import Collection
from receiver.simulator.validation import (
    ApiError,
    Context,
    Json,
    accept,
    invalid,
    missing,
    present,
)

__all__ = ["Behaviour", "Pbx"]

_FIRST_ID = 700551909773148160  # the vendor's example, NzAwNTUxOTA5NzczMTQ4MTYw
_PIN = "739184"
_SINCE: dict[type, Literal["22.2", "22.6"]] = {Pattern: "22.2", All: "22.6"}

Type = Literal["EXTENSION", "RING_GROUP", "CALL_QUEUE", "CONFERENCE_ROOM"]
"""The type of an extension that is no IVR."""


class Pbx:
    """A PBX of one tenant.

    Parameters:
        behaviour: may be replaced at any time; existing ids are kept.
        numbers: yields the numbers that ids are made of, each once.

    Attributes:
        collections: all resources but action URLs, by the path of their type.
        ivrs, holidays, ivr_servers, files: the same. One built-in server exists from the start.
        offline: extension numbers of IVRs with the status ``OFFLINE``; may be changed.
        unreachable: numbers to which a forward fails; may be changed.
        night_mode: whether the tenant's night mode is on; each IVR has a switch, too.
        office_hours: the tenant's, as the days of a menu entry (`receiver.simulator.hours`); None
            for always open.
        tenant: the id of its tenant.
        tenant_settings: the tenant's event URLs, as stored.
    """

    def __init__(
        self, behaviour: Behaviour | None = None, *, numbers: Iterator[int] | None = None
    ) -> None:
        self.behaviour = behaviour or Behaviour()
        self._numbers = numbers if numbers is not None else itertools.count(_FIRST_ID)
        self.collections = {type.path: self._collection(type) for type in TOP_LEVEL}
        self.ivrs, self.ivr_servers = self.collections[IVR.path], self.collections[SERVER.path]
        self.holidays, self.files = self.collections[HOLIDAY.path], self.collections[FILE.path]
        self.ivr_servers.put(
            {"name": "built-in", "enabled": True, "ipv4": "127.0.0.1", "type": "INTERNAL"},
            self._id_of(_FIRST_ID - 2),
        )
        self.offline: set[str] = set()
        self.unreachable: set[str] = set()
        self.night_mode = False
        self.office_hours: Json | None = None
        self.tenant = self._id_of(_FIRST_ID - 1)
        off = {"enabled": False, "auth": "DISABLE"}
        self.tenant_settings: Json = {"cdr_event": {**off}, "extension_event": {**off}}
        self._action_urls: dict[str, Collection] = {}
        self._extensions: dict[str, Json] = {}

    # Changes over the API ----------------------------------------------------------------------
    def create_ivr(self, data: object) -> str:
        """Create an IVR as the API does: within the quota, at a free extension number.

        Raises:
            ApiError: 400, it breaks a limit; 403, the quota is used up.
        """
        if len(self.ivrs) >= self.behaviour.quota:
            raise ApiError(403, "QUOTA_EXCEEDED", "the tenant has no more virtual receptionists")
        if isinstance(data, dict) and str(data.get("extension_number")) in self._extensions:
            raise invalid("extension_number", "is taken already")
        return self.ivrs.create(data)

    def destroy_ivr(self, ivr_id: str) -> None:
        """Delete an IVR with its action URLs; errors as for `Collection.destroy`."""
        self.ivrs.destroy(ivr_id)
        self._action_urls.pop(ivr_id, None)

    def show_tenant(self) -> Json:
        """Return the tenant as the API does, as far as it is simulated: the id and event URLs."""
        shown = present(TenantEvents, self.tenant_settings, self._context())
        return {"id": self.tenant, **shown}

    def update_tenant(self, data: object) -> None:
        """Change the event URLs in ``data``, each as a whole.

        Raises:
            ApiError: 400, it breaks a limit.
        """
        context = self._context()
        self.tenant_settings |= accept(TenantEvents, data, context, "update", complete=False)

    def action_urls(self, ivr_id: str) -> Collection:
        """Return the action URLs of one IVR.

        Raises:
            ApiError: 404, there is no such IVR.
        """
        self.ivrs.stored(ivr_id)
        if ivr_id not in self._action_urls:
            self._action_urls[ivr_id] = self._collection(ACTION_URL)
        return self._action_urls[ivr_id]

    def create_ivr_server(self, data: object) -> str:
        """Create an external IVR server; errors as for `Collection.create`."""
        key = self.ivr_servers.create(data)
        self.ivr_servers.stored(key)["type"] = "EXTERNAL"
        return key

    def destroy_ivr_server(self, server_id: str) -> None:
        """Delete an IVR server.

        Raises:
            ApiError: 404, there is no such server; 400, it is the built-in one.
        """
        if self.ivr_servers.stored(server_id)["type"] == "INTERNAL":
            raise invalid("the server", "is built in and cannot be deleted")
        self.ivr_servers.destroy(server_id)

    def add_file(self, blob: Blob, created_at: str) -> str:
        """Create a file of a blob and return its id."""
        name = blob.filename or blob.digest
        return self.files.put(
            {
                "name": name,
                "size": len(blob.data),
                "media_type": media_type(name),
                "created_at": created_at,
                "digest": blob.digest,
                "url": f"/api/blobs/{blob.digest}",
                "seconds": _seconds(blob),
            }
        )

    def add_ivr(self, number: str, name: str = "") -> str:
        """Create an IVR with the PBX's defaults; return its id.

        Raises:
            ApiError: 400, the number or the name breaks a limit.
        """
        data = {"name": name or f"Receptionist {number}", "extension_number": number}
        return self.ivrs.create(data | ({"pin": _PIN} if self.behaviour.until("22.2") else {}))

    # Extension numbers -----------------------------------------------------------------------
    def add_extension(self, number: str, name: str = "", kind: Type = "EXTENSION") -> str:
        """Add an extension that is no IVR, and return its id."""
        key = self._new_id()
        values = {"id": key, "extension_number": number, "name": name, "type": kind}
        self._extensions[number] = values
        return key

    def at(self, number: str) -> Json:
        """Return the extension with a number: ``id``, ``extension_number``, ``name``, ``type``.

        Raises:
            ApiError: 404, there is no such extension.
        """
        if number in self._extensions:
            return self._extensions[number]
        if (ivr := self.ivr_at(number)) is None:
            raise missing("extension")
        found = {"id": ivr.id, "extension_number": ivr.extension_number, "name": ivr.name}
        return {**found, "type": "VIRTUAL_RECEPTIONIST"}

    def ivr_at(self, extension: str) -> models.IvrSummary | None:
        """Return the IVR with an extension number, None if there is no such IVR."""
        for item in self.ivrs:
            if item["extension_number"] == extension:
                return models.read(models.IvrSummary, item)
        return None

    def fires(self, extension: str, kind: Kind, number: str) -> models.ActionUrl | None:
        """Return the action URL that the PBX calls; None if none matches.

        An exact number in a mask beats a range, a range beats ``*``, ``*`` beats ``ALL``, and the
        first one created wins a tie. This order is a guess: it is not documented. A mask with an
        entry that the version does not support never matches.

        Parameters:
            extension: the extension number of the IVR.
            kind: ``"CALLER"`` when the call arrives, ``"DTMF"`` for DTMF input.
            number: the caller's number, or the digits.
        """
        ivr = self.ivr_at(extension)
        if ivr is None:
            return None
        ranked = []
        for item in self.action_urls(ivr.id):
            action = models.with_defaults(models.read(models.ActionUrl, item))
            if action.enabled and action.type == kind:
                rank = _rank(action, number, self.behaviour)
                if rank is not None:
                    ranked.append((rank, action))
        return (
            min(ranked, key=lambda pair: pair[0])[1] if ranked else None
        )  # the first one on a tie

    # Internal ------------------------------------------------------------------------------------
    def _collection(self, type: ResourceType[Model, Model]) -> Collection:
        return Collection(type, self._context, self._new_id)

    def _context(self) -> Context:
        return Context(self.behaviour, self._find)

    def _find(self, noun: str, key: str) -> Json | None:
        found = (each for each in self.collections.values() if each.type.noun == noun)
        return next(found).find(key)

    def _new_id(self) -> str:
        return self._id_of(next(self._numbers))

    def _id_of(self, number: int) -> str:
        text = str(number)
        if self.behaviour.ids == "decimal":
            return text
        return base64.b64encode(text.encode()).decode()


def _seconds(blob: Blob) -> float:
    """Return the length of a recording; 0 for any other file."""
    try:
        return examine(blob.filename, blob.data).seconds
    except DeclarationError:
        return 0.0


def _rank(action: models.ActionUrl, number: str, behaviour: Behaviour) -> int | None:
    try:
        mask = Mask.parse(action.mask)
    except MaskError:
        return None
    if any(not behaviour.has(_SINCE.get(type(entry), "22.0")) for entry in mask):
        return None
    if action.type == "CALLER" and All() in mask.entries:
        return None  # documented for DTMF only
    return mask.rank(number)
