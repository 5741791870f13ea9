"""The endpoints for the bytes of files: the upload in chunks, and the download by digest.

Rule 1: an answer about an upload has four headers and no body.
Rule 2: the download needs no token, only the digest.

Source: ``/blobs`` of the vendor's OpenAPI file for 22.2.
"""

from __future__ import annotations

import time

from starlette.requests import Request
from starlette.responses import Response

from receiver.simulator.api_endpoint import ApiState, Endpoint
from receiver.simulator.validation import invalid

_FLAGS = {"false": False, "true": True}


async def _begin(state: ApiState, request: Request) -> Response:
    temporary = request.query_params.get("temporary", "false")
    if temporary not in _FLAGS:
        raise invalid("temporary", "is neither true nor false")
    name = request.query_params.get("filename", "")
    return Response(status_code=202, headers=state.blobs.begin(name, _FLAGS[temporary]).headers)


async def _append(state: ApiState, request: Request) -> Response:
    data = await request.body()
    upload = state.blobs.append(request.path_params["id"], _token(request), data)
    return Response(status_code=state.behaviour.appended, headers=upload.headers)


async def _complete(state: ApiState, request: Request) -> Response:
    data = await request.body()
    blob = state.blobs.complete(
        request.path_params["id"],
        _token(request),
        data,
        request.query_params.get("digest", ""),
        state.behaviour,
    )
    created_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(state.today()))
    return state.created(state.pbx.add_file(blob, created_at))


async def _status(state: ApiState, request: Request) -> Response:
    upload = state.blobs.status(request.path_params["id"])
    return Response(status_code=204, headers=upload.headers)


async def _cancel(state: ApiState, request: Request) -> Response:
    state.blobs.cancel(request.path_params["id"])
    return state.destroyed()


async def _download(state: ApiState, request: Request) -> Response:
    blob = state.blobs.blob(request.path_params["digest"])
    name = "".join(c if " " <= c <= "~" and c not in '"\\' else "_" for c in blob.filename)
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(blob.data, media_type="application/octet-stream", headers=headers)


def _token(request: Request) -> str:
    return request.headers.get("portsip-upload-token", "")


_UPLOAD = "/api/blobs/uploads/{id}"
ENDPOINTS = (
    Endpoint("POST", "/api/blobs/uploads", _begin),
    Endpoint("POST", f"{_UPLOAD}/append", _append),
    Endpoint("POST", f"{_UPLOAD}/complete", _complete),
    Endpoint("GET", f"{_UPLOAD}/status", _status),
    Endpoint("POST", f"{_UPLOAD}/destroy", _cancel),
    Endpoint("GET", "/api/blobs/{digest}", _download, "open"),
)
