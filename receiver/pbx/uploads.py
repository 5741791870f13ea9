"""How a file comes to the PBX: begin, append in pieces, complete. One upload, one object.

Rule 1: each answer may bring a new upload token, and the newest is used.
Rule 2: what fails is cancelled, so that nothing half is left; except where the PBX may have
        completed it.
Rule 3: whether the digest wants a ``sha256:`` before it is not documented: it is sent bare, and on
        a refusal once more with it, in a new upload, for the old one may hold the octets already.
Rule 4: an append whose answer was lost goes on where the PBX says it is.

Source: the PBX's REST API, ``/blobs/uploads``.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable

from receiver.errors import (
    PbxError,
    PbxForbidden,
    PbxNonsense,
    PbxRefused,
    PbxThrottled,
    PbxUnauthorized,
)
from receiver.pbx.faults import CutOff, may_have_happened
from receiver.pbx.models import Created, read
from receiver.pbx.requester import Requester, segment
from receiver.pbx.wire import UPLOAD_TOKEN, Answer

CHUNK = 1024 * 1024
"""Most octets that are sent at once."""

Progress = Callable[[int, int], None]
"""Is told how many octets have been sent, of how many."""

_ID = "PortSIP-Upload-ID"
_OCTETS = "application/octet-stream"
_RANGE = re.compile(r"(?:bytes[= ])?0-(\d{1,18})(?:/.*)?")
_RESUMES = 3


async def upload(requester: Requester, name: str, data: bytes, progress: Progress) -> str:
    """Bring ``data`` to the PBX as a file called ``name``; its id.

    Raises:
        PbxError: it did not come about.
    """
    digest = hashlib.sha256(data).hexdigest()
    try:
        return await _try(requester, name, data, digest, progress)
    except PbxRefused as error:
        known = isinstance(error, PbxUnauthorized | PbxForbidden | PbxThrottled)
        if known or error.status >= 500 or error.status in (404, 413, 415):
            raise
        refused = error
    try:
        return await _try(requester, name, data, f"sha256:{digest}", progress)
    except PbxRefused:
        raise refused from None


async def _try(
    requester: Requester, name: str, data: bytes, digest: str, progress: Progress
) -> str:
    attempt = _Upload(requester, name, data, progress)
    await attempt.begin()
    try:
        await attempt.append_all()
        return await attempt.complete(digest)
    except BaseException:
        if not attempt.maybe_complete:
            await attempt.cancel()
        raise


class _Upload:
    """One upload from its begin to its end."""

    def __init__(self, requester: Requester, name: str, data: bytes, progress: Progress) -> None:
        self._requester = requester
        self._name = name
        self._data = data
        self._progress = progress
        self._path = ""
        self._token = ""
        self._sent = 0
        self.maybe_complete = False

    async def begin(self) -> None:
        what = f"beginning to upload {self._name!r}"
        answer = await self._requester.post(what, "/blobs/uploads", params={"filename": self._name})
        upload_id = answer.headers.get(_ID, "")
        self._keep(answer)
        if not upload_id or not self._token:
            raise PbxNonsense(f"{what}: the PBX's answer lacks {_ID} or {UPLOAD_TOKEN}")
        self._path = f"/blobs/uploads/{segment(upload_id)}"
        self._progress(0, len(self._data))

    async def append_all(self) -> None:
        """Everything in pieces; nothing, if it fits in one, which `complete` then sends."""
        resumes = 0
        while len(self._data) > CHUNK and self._sent < len(self._data):
            chunk = self._data[self._sent : self._sent + CHUNK]
            try:
                await self._post("append", chunk)
                self._sent += len(chunk)
            except CutOff:
                resumes += 1
                if resumes > _RESUMES:
                    raise
                self._sent = await self._offset(self._sent, self._sent + len(chunk))
            self._progress(self._sent, len(self._data))

    async def complete(self, digest: str) -> str:
        """Say that this is all; the id of the file."""
        try:
            answer = await self._post("complete", self._data[self._sent :], {"digest": digest})
            made = read(Created, answer.json(), f"{answer.what}: the answer")
        except PbxError as error:
            self.maybe_complete = may_have_happened(error)
            raise
        self._progress(len(self._data), len(self._data))
        return made.id

    async def cancel(self) -> None:
        """Have the PBX forget what came; if that fails, it will by itself after a time."""
        with contextlib.suppress(PbxError):
            await self._post("destroy", None)

    async def _offset(self, low: int, high: int) -> int:
        """How many octets the PBX has, after an answer was lost; either ``low`` or ``high``.

        It says ``0-<last>``, and for nothing at all ``0-0``, like a container registry.
        """
        what = f"asking how far the upload of {self._name!r} is"
        headers = {UPLOAD_TOKEN: self._token}
        answer = await self._requester.get(what, f"{self._path}/status", headers=headers)
        self._keep(answer)
        said = answer.headers.get("range", "")
        found = _RANGE.fullmatch(said)
        there = int(found[1]) + 1 if found else 0
        if there not in (low, high) and not (low == 0 and there == 1):
            raise PbxNonsense(f"{what}: the PBX does not say it in a way that is understood")
        return high if there == high else low

    async def _post(
        self, step: str, content: bytes | None, params: dict[str, str | int] | None = None
    ) -> Answer:
        headers = {UPLOAD_TOKEN: self._token}
        if content is not None:
            headers["Content-Type"] = _OCTETS
        answer = await self._requester.post(
            f"uploading {self._name!r} ({step})",
            f"{self._path}/{step}",
            content=content,
            params=params,
            headers=headers,
        )
        self._keep(answer)
        return answer

    def _keep(self, answer: Answer) -> None:
        self._token = answer.headers.get(UPLOAD_TOKEN, "") or self._token
