"""The endpoints for the bytes of files: the upload in chunks, and the download by digest.

Rule 1: an answer about an upload has no body; what there is to say stands in four headers.
Rule 2: the download needs no token: whoever has the digest has the file.

Source: ``/blobs`` of the vendor's OpenAPI file for 22.2.
"""

from __future__ import annotations

import time

from starlette.requests import Request
from starlette.responses import Response

from receiver.simulator.desk import Desk, Endpoint
from receiver.simulator.schema import invalid

_FLAGS = {"": False, "false": False, "true": True}


async def _begin(desk: Desk, request: Request) -> Response:
    temporary = request.query_params.get("temporary", "")
    if temporary not in _FLAGS:
        raise invalid("temporary", "is neither true nor false")
    name = request.query_params.get("filename", "")
    return Response(status_code=202, headers=desk.uploads.begin(name, _FLAGS[temporary]).headers)


async def _append(desk: Desk, request: Request) -> Response:
    data = await request.body()
    upload = desk.uploads.append(request.path_params["id"], _token(request), data)
    return Response(status_code=desk.behaviour.appended, headers=upload.headers)


async def _complete(desk: Desk, request: Request) -> Response:
    data = await request.body()
    blob = desk.uploads.complete(
        request.path_params["id"],
        _token(request),
        data,
        request.query_params.get("digest", ""),
        desk.behaviour,
    )
    created_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(desk.today()))
    return desk.created(desk.pbx.add_file(blob, created_at))


async def _status(desk: Desk, request: Request) -> Response:
    upload = desk.uploads.status(request.path_params["id"])
    return Response(status_code=204, headers=upload.headers)


async def _cancel(desk: Desk, request: Request) -> Response:
    desk.uploads.cancel(request.path_params["id"])
    return desk.destroyed()


async def _download(desk: Desk, request: Request) -> Response:
    blob = desk.uploads.blob(request.path_params["digest"])
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
