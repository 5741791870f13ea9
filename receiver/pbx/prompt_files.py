"""Prompt files: list, show, upload, download, delete.

Rule 1: a recording is checked before it is sent (`receiver.pbx.audio`).
Rule 2: after a lost answer, a new file of the same name and size counts as the upload.
Rule 3: a download is sent without a token, as documented, and with one after a 401. It is sent to
        the PBX only.
Rule 4: a file has no URL of its contents; an IVR has those of its prompts (``prompt_file_url``).

Source: the PBX's REST API, ``/files`` and ``/blobs``.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import PurePath
from urllib.parse import unquote

from receiver.errors import DeclarationError, PbxError
from receiver.pbx.api_errors import may_have_happened
from receiver.pbx.audio import examine
from receiver.pbx.authorized_connection import AuthorizedConnection, segment
from receiver.pbx.chunked_upload import Progress, upload
from receiver.pbx.collections import Records
from receiver.pbx.connection import Download
from receiver.pbx.models_shared import PromptFile
from receiver.pbx.resource_types import FILE

_FILENAME = re.compile(
    r'filename\*?=(?:UTF-8\'\'([^;]*)|"((?:[^"\\]|\\.)*)"|([^;"]*))', re.IGNORECASE
)


class PromptFiles(Records[PromptFile, PromptFile]):
    """The files of the tenant."""

    def __init__(self, connection: AuthorizedConnection) -> None:
        super().__init__(connection, FILE)

    async def upload(
        self,
        name: str,
        data: bytes,
        *,
        progress: Progress = lambda sent, total: None,
        checked: bool = True,
        look_up: bool = True,
    ) -> str:
        """Upload a prompt and return its id, for ``prompt_file_id``.

        Parameters:
            name: the file's name; its folders are ignored.
            data: the whole file.
            progress: called with the number of bytes sent, and their total.
            checked: False skips the check of the recording.
            look_up: whether to search for the file if the last answer was lost.

        Raises:
            DeclarationError: the PBX cannot play it; the text says how to convert it.
            PbxError: the upload failed; no partial file is left on the PBX.
        """
        plain = PurePath(name).name
        if not plain or not data:
            raise DeclarationError(f"{name!r} has no name, or is empty: there is nothing to upload")
        if checked:
            examine(name, data)
        before = await self._like(plain, len(data)) if look_up else set()
        try:
            return await upload(self._connection, plain, data, progress)
        except PbxError as error:
            if not look_up or not may_have_happened(error):
                raise
            new = await self._like(plain, len(data)) - before
            if not new:
                raise
            return min(new)

    async def _like(self, name: str, size: int) -> set[str]:
        """Return the ids of the files of this name and size."""
        return {
            file.id async for file in self.list() if file.name == name and file.size in (None, size)
        }

    @asynccontextmanager
    async def download(self, source: str) -> AsyncIterator[Download]:
        """Download a file as a stream.

        Parameters:
            source: the ``prompt_file_url`` of an IVR, or the digest of a blob.
        """
        url = source if "/" in source else f"blobs/{segment(source)}"
        found = await self._connection.open("downloading a file", url)
        try:
            yield found
        finally:
            await found.aclose()


def filename(download: Download) -> str:
    """Return the file name of a download without folders; empty if the PBX sends none."""
    found = _FILENAME.search(download.disposition)
    if found is None:
        return ""
    coded, quoted, bare = found.groups()
    name = unquote(coded) if coded else re.sub(r"\\(.)", r"\1", quoted or bare or "")
    plain = PurePath(name.strip().replace("\\", "/")).name
    return plain if plain.isprintable() and not plain.startswith(".") else ""
