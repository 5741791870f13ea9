"""The endpoints for what the PBX holds: IVRs, action URLs, holidays, servers, files, numbers.

Rule 1: the codes are the vendor's: 201 with ``{"id"}`` for a create, 200 for a read or an update
        (the latter without a body), 204 for a destroy.
Rule 2: what does not exist is 404, a guess; but 400 where a destroy documents no other status.

Source: the vendor's OpenAPI file for 22.2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from receiver.simulator.collection import Collection
from receiver.simulator.desk import Access, Desk, Endpoint, body
from receiver.simulator.model import Pbx

_Of = Callable[[Pbx, str], Collection]


@dataclass(frozen=True, slots=True)
class _Resource:
    """The endpoints of one collection.

    Attributes:
        path: of the collection.
        of: the collection, by the ``id`` in the path.
        key: what the id of an object is called in the path.
        verbs: what can be done.
        access: who may.
        make, unmake: in place of the collection's own create and destroy.
        missing: the status of a destroy of what does not exist.
        paged: False lists all objects in full.
    """

    path: str
    of: _Of
    key: str = "id"
    verbs: tuple[str, ...] = ("create", "index", "show", "update", "destroy")
    access: Access = "tenant"
    make: Callable[[Pbx, object], str] | None = None
    unmake: Callable[[Pbx, str], None] | None = None
    missing: int = 404
    paged: bool = True

    def endpoints(self) -> tuple[Endpoint, ...]:
        one = f"{self.path}/{{{self.key}}}"
        rows = {
            "create": Endpoint("POST", self.path, self.create, self.access),
            "index": Endpoint("GET", self.path, self.index, self.access),
            "show": Endpoint("GET", one, self.show, self.access),
            "update": Endpoint("POST", one, self.update, self.access),
            "destroy": Endpoint(
                "POST", f"{one}/destroy", self.destroy, self.access, missing=self.missing
            ),
        }
        return tuple(rows[verb] for verb in self.verbs)

    async def create(self, desk: Desk, request: Request) -> Response:
        data = await body(request)
        if self.make:
            return desk.created(self.make(desk.pbx, data))
        return desk.created(self._collection(desk, request).create(data))

    async def index(self, desk: Desk, request: Request) -> Response:
        found = self._collection(desk, request)
        return JSONResponse(found.page(request.query_params) if self.paged else found.show_all())

    async def show(self, desk: Desk, request: Request) -> Response:
        return JSONResponse(self._collection(desk, request).show(self._key(request)))

    async def update(self, desk: Desk, request: Request) -> Response:
        data = await body(request)
        self._collection(desk, request).update(self._key(request), data)
        return Response()

    async def destroy(self, desk: Desk, request: Request) -> Response:
        if self.unmake:
            self.unmake(desk.pbx, self._key(request))
        else:
            self._collection(desk, request).destroy(self._key(request))
        return desk.destroyed()

    def _key(self, request: Request) -> str:
        key: str = request.path_params[self.key]
        return key

    def _collection(self, desk: Desk, request: Request) -> Collection:
        return self.of(desk.pbx, request.path_params.get("id", ""))


async def _status_of_ivr(desk: Desk, request: Request) -> Response:
    ivr = desk.pbx.ivrs.stored(request.path_params["id"])
    offline = ivr["extension_number"] in desk.pbx.offline
    return JSONResponse({"status": "OFFLINE" if offline else "ONLINE"})


async def _status_of_server(desk: Desk, request: Request) -> Response:
    server = desk.pbx.ivr_servers.stored(request.path_params["id"])
    status = "ONLINE" if server["enabled"] else "OFFLINE"
    return JSONResponse({"cpu_usage": 3, "memory_usage": 21, "status": status})


async def _destroy_file(desk: Desk, request: Request) -> Response:
    key = request.path_params["id"]
    digest = desk.pbx.files.stored(key)["digest"]
    desk.pbx.files.destroy(key)
    if not any(file["digest"] == digest for file in desk.pbx.files):
        desk.uploads.forget(digest)
    return desk.destroyed()


async def _extension_number(desk: Desk, request: Request) -> Response:
    return JSONResponse(desk.pbx.at(request.path_params["number"]))


_IVRS, _SERVERS = "/api/ivrs", "/api/ivr_servers"
_RESOURCES = (
    _Resource(
        _IVRS,
        lambda pbx, key: pbx.ivrs,
        make=Pbx.create_ivr,
        unmake=Pbx.destroy_ivr,
        missing=400,
    ),
    _Resource(f"{_IVRS}/{{id}}/action_urls", Pbx.action_urls, key="url_id", paged=False),
    _Resource(
        _SERVERS,
        lambda pbx, key: pbx.ivr_servers,
        access="token",
        make=Pbx.create_ivr_server,
        unmake=Pbx.destroy_ivr_server,
    ),
    _Resource("/api/holidays", lambda pbx, key: pbx.holidays, missing=400),
    _Resource("/api/files", lambda pbx, key: pbx.files, verbs=("index", "show")),
)

ENDPOINTS = (
    *(endpoint for resource in _RESOURCES for endpoint in resource.endpoints()),
    Endpoint("GET", f"{_IVRS}/{{id}}/status", _status_of_ivr),
    Endpoint("GET", f"{_SERVERS}/{{id}}/status", _status_of_server, "token"),
    Endpoint("POST", "/api/files/{id}/destroy", _destroy_file),
    Endpoint("GET", "/api/extension_numbers/{number}", _extension_number),
)
