"""Upload a file to the PBX: begin, append in chunks, complete.

Rule 1: each answer may carry a new upload token; the newest one is used.
Rule 2: a failed upload is cancelled, so that no partial file is left, unless the PBX may have
        completed it.
Rule 3: whether the digest has the prefix ``sha256:`` is not documented: it is sent without, and
        after a refusal with it, in a new upload, for the old one may contain the bytes already.
Rule 4: after an append without an answer, the upload resumes at the PBX's offset.

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
    PbxInvalid,
    PbxRefused,
    PbxThrottled,
    PbxUnauthorized,
)
from receiver.pbx.api_errors import ConnectionLost, may_have_happened
from receiver.pbx.authorized_connection import AuthorizedConnection, segment
from receiver.pbx.connection import UPLOAD_TOKEN, Answer
from receiver.pbx.models import Created, read

CHUNK_SIZE = 1024 * 1024
"""Most bytes in one request."""

Progress = Callable[[int, int], None]
"""Called with the number of bytes sent, and their total."""

_ID = "PortSIP-Upload-ID"
_OCTETS = "application/octet-stream"
_RANGE = re.compile(r"(?:bytes[= ])?0-(\d{1,18})(?:/.*)?")
_RESUMES = 3


async def upload(
    connection: AuthorizedConnection, name: str, data: bytes, progress: Progress
) -> str:
    """Upload ``data`` as a file called ``name`` and return its id.

    Raises:
        PbxError: the upload failed.
    """
    digest = hashlib.sha256(data).hexdigest()
    try:
        return await _try(connection, name, data, digest, progress)
    except PbxRefused as error:
        known = isinstance(error, PbxUnauthorized | PbxForbidden | PbxThrottled)
        if known or error.status >= 500 or error.status in (404, 413, 415):
            raise
        refused = error
    try:
        return await _try(connection, name, data, f"sha256:{digest}", progress)
    except PbxRefused:
        raise refused from None


async def _try(
    connection: AuthorizedConnection, name: str, data: bytes, digest: str, progress: Progress
) -> str:
    attempt = _Upload(connection, name, data, progress)
    await attempt.begin()
    try:
        await attempt.append_all()
        return await attempt.complete(digest)
    except BaseException:
        if not attempt.maybe_complete:
            await attempt.cancel()
        raise


class _Upload:
    """The state of one upload."""

    def __init__(
        self, connection: AuthorizedConnection, name: str, data: bytes, progress: Progress
    ) -> None:
        self._connection = connection
        self._name = name
        self._data = data
        self._progress = progress
        self._path = ""
        self._token = ""
        self._sent = 0
        self.maybe_complete = False

    async def begin(self) -> None:
        what = f"beginning to upload {self._name!r}"
        answer = await self._connection.post(
            what, "/blobs/uploads", params={"filename": self._name}
        )
        upload_id = answer.headers.get(_ID, "")
        self._keep(answer)
        if not upload_id or not self._token:
            raise PbxInvalid(f"{what}: the PBX's answer lacks {_ID} or {UPLOAD_TOKEN}")
        self._path = f"/blobs/uploads/{segment(upload_id)}"
        self._progress(0, len(self._data))

    async def append_all(self) -> None:
        """Send all chunks; a file of one chunk is sent by `complete`."""
        resumes = 0
        while len(self._data) > CHUNK_SIZE and self._sent < len(self._data):
            chunk = self._data[self._sent : self._sent + CHUNK_SIZE]
            try:
                await self._post("append", chunk)
                self._sent += len(chunk)
            except ConnectionLost:
                resumes += 1
                if resumes > _RESUMES:
                    raise
                self._sent = await self._offset(self._sent, self._sent + len(chunk))
            self._progress(self._sent, len(self._data))

    async def complete(self, digest: str) -> str:
        """Complete the upload and return the id of the file."""
        try:
            answer = await self._post("complete", self._data[self._sent :], {"digest": digest})
            made = read(Created, answer.json(), f"{answer.what}: the answer")
        except PbxError as error:
            self.maybe_complete = may_have_happened(error)
            raise
        self._progress(len(self._data), len(self._data))
        return made.id

    async def cancel(self) -> None:
        """Cancel the upload; should that fail, the PBX drops it after a timeout."""
        with contextlib.suppress(PbxError):
            await self._post("destroy", None)

    async def _offset(self, low: int, high: int) -> int:
        """Return how many bytes the PBX has after a lost answer: ``low`` or ``high``.

        ``Range`` is ``0-<last>``, and ``0-0`` for an empty upload, as in a container registry.
        """
        what = f"reading the status of the upload of {self._name!r}"
        headers = {UPLOAD_TOKEN: self._token}
        answer = await self._connection.get(what, f"{self._path}/status", headers=headers)
        self._keep(answer)
        range_header = answer.headers.get("range", "")
        found = _RANGE.fullmatch(range_header)
        received = int(found[1]) + 1 if found else 0
        if received not in (low, high) and not (low == 0 and received == 1):
            raise PbxInvalid(f"{what}: the PBX sends no usable Range")
        return high if received == high else low

    async def _post(
        self, step: str, content: bytes | None, params: dict[str, str | int] | None = None
    ) -> Answer:
        headers = {UPLOAD_TOKEN: self._token}
        if content is not None:
            headers["Content-Type"] = _OCTETS
        answer = await self._connection.post(
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
