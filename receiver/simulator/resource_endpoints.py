"""The endpoints of the resources: IVRs, action URLs, holidays, servers, files, numbers, tenant.

Rule 1: the codes are the vendor's: 201 with ``{"id"}`` for a create, 200 for a read or an update
        (the latter without a body), 204 for a destroy.
Rule 2: an unknown id gets 404, a guess; but 400 where a destroy documents no other status.
Rule 3: a resource type of `receiver.pbx.resource_types` has all endpoints, unless listed here.

Source: the vendor's OpenAPI file for 22.2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from receiver.pbx.fields import Model
from receiver.pbx.models_events import TENANT
from receiver.pbx.resource_types import (
    ACTION_URL,
    FILE,
    HOLIDAY,
    IVR,
    SERVER,
    TOP_LEVEL,
    ResourceType,
)
from receiver.simulator.api_endpoint import Access, ApiState, Endpoint, body
from receiver.simulator.collection import Collection
from receiver.simulator.model import Pbx

_Of = Callable[[Pbx, str], Collection]


@dataclass(frozen=True, slots=True)
class _Resource:
    """The endpoints of one collection.

    Attributes:
        type: the resource type.
        of: returns the collection by the ``id`` in the path; None for one of `Pbx.collections`.
        path: of the collection; empty for the type's.
        key: the name of the id in the path.
        verbs: the endpoints.
        access: the token that they need.
        make, unmake: instead of the collection's own create and destroy.
        missing: the status of a destroy with an unknown id.
        update_needs_body: whether an update without a body is refused.
    """

    type: ResourceType[Model, Model]
    of: _Of | None = None
    path: str = ""
    key: str = "id"
    verbs: tuple[str, ...] = ("create", "index", "show", "update", "destroy")
    access: Access = "tenant"
    make: Callable[[Pbx, object], str] | None = None
    unmake: Callable[[Pbx, str], None] | None = None
    missing: int = 404
    update_needs_body: bool = False

    def endpoints(self) -> tuple[Endpoint, ...]:
        path = f"/api{self.path or self.type.path}"
        one = f"{path}/{{{self.key}}}"
        rows = {
            "create": Endpoint("POST", path, self.create, self.access),
            "index": Endpoint("GET", path, self.index, self.access),
            "show": Endpoint("GET", one, self.show, self.access),
            "update": Endpoint("POST", one, self.update, self.access),
            "destroy": Endpoint(
                "POST", f"{one}/destroy", self.destroy, self.access, missing=self.missing
            ),
        }
        return tuple(rows[verb] for verb in self.verbs)

    async def create(self, state: ApiState, request: Request) -> Response:
        data = await body(request)
        if self.make:
            return state.created(self.make(state.pbx, data))
        return state.created(self._collection(state, request).create(data))

    async def index(self, state: ApiState, request: Request) -> Response:
        found = self._collection(state, request)
        return JSONResponse(
            found.page(request.query_params) if self.type.paged else found.show_all()
        )

    async def show(self, state: ApiState, request: Request) -> Response:
        return JSONResponse(self._collection(state, request).show(self._key(request)))

    async def update(self, state: ApiState, request: Request) -> Response:
        data = await body(request, required=self.update_needs_body)
        self._collection(state, request).update(self._key(request), data)
        return Response()

    async def destroy(self, state: ApiState, request: Request) -> Response:
        if self.unmake:
            self.unmake(state.pbx, self._key(request))
        else:
            self._collection(state, request).destroy(self._key(request))
        return state.destroyed()

    def _key(self, request: Request) -> str:
        key: str = request.path_params[self.key]
        return key

    def _collection(self, state: ApiState, request: Request) -> Collection:
        if self.of is None:
            return state.pbx.collections[self.type.path]
        return self.of(state.pbx, request.path_params["id"])


async def _status_of_ivr(state: ApiState, request: Request) -> Response:
    ivr = state.pbx.ivrs.stored(request.path_params["id"])
    offline = ivr["extension_number"] in state.pbx.offline
    return JSONResponse({"status": "OFFLINE" if offline else "ONLINE"})


async def _status_of_server(state: ApiState, request: Request) -> Response:
    server = state.pbx.ivr_servers.stored(request.path_params["id"])
    status = "ONLINE" if server["enabled"] else "OFFLINE"
    return JSONResponse({"cpu_usage": 3, "memory_usage": 21, "status": status})


async def _destroy_file(state: ApiState, request: Request) -> Response:
    key = request.path_params["id"]
    digest = state.pbx.files.stored(key)["digest"]
    state.pbx.files.destroy(key)
    if not any(file["digest"] == digest for file in state.pbx.files):
        state.blobs.forget(digest)
    return state.destroyed()


async def _extension_number(state: ApiState, request: Request) -> Response:
    return JSONResponse(state.pbx.at(request.path_params["number"]))


async def _show_tenant(state: ApiState, request: Request) -> Response:
    return JSONResponse(state.pbx.show_tenant())


async def _update_tenant(state: ApiState, request: Request) -> Response:
    state.pbx.update_tenant(await body(request))
    return Response()


_PECULIAR = (
    _Resource(IVR, make=Pbx.create_ivr, unmake=Pbx.destroy_ivr, missing=400),
    _Resource(
        SERVER,
        access="token",
        make=Pbx.create_ivr_server,
        unmake=Pbx.destroy_ivr_server,
        update_needs_body=True,
    ),
    _Resource(HOLIDAY, missing=400),
    _Resource(FILE, verbs=("index", "show")),
)
_IN_AN_IVR = f"{IVR.path}/{{id}}{ACTION_URL.path}"
_RESOURCES = (
    *_PECULIAR,
    _Resource(ACTION_URL, Pbx.action_urls, _IN_AN_IVR, key="url_id"),
    *map(_Resource, (type for type in TOP_LEVEL if type not in [one.type for one in _PECULIAR])),
)

ENDPOINTS = (
    *(endpoint for resource in _RESOURCES for endpoint in resource.endpoints()),
    Endpoint("GET", f"/api{IVR.path}/{{id}}/status", _status_of_ivr),
    Endpoint("GET", f"/api{SERVER.path}/{{id}}/status", _status_of_server, "token"),
    Endpoint("POST", f"/api{FILE.path}/{{id}}/destroy", _destroy_file),
    Endpoint("GET", "/api/extension_numbers/{number}", _extension_number),
    Endpoint("GET", f"/api{TENANT}", _show_tenant),
    Endpoint("POST", f"/api{TENANT}", _update_tenant),
)
