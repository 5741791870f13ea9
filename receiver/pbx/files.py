"""Prompt files: listed, read about, uploaded, downloaded, deleted.

Rule 1: a recording is examined here before it is sent (`receiver.pbx.audio`).
Rule 2: a download needs no token, as documented, and gets one only if the PBX wants it. It leads to
        the PBX itself or nowhere.
Rule 3: a file does not say where its octets are; an IVR says it of its prompts
        (``prompt_file_url``).

Source: the PBX's REST API, ``/files`` and ``/blobs``.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import PurePath
from urllib.parse import unquote

from receiver.errors import DeclarationError
from receiver.pbx.audio import examine
from receiver.pbx.collections import Kind, Records
from receiver.pbx.models_shared import PromptFile
from receiver.pbx.requester import Requester, segment
from receiver.pbx.uploads import Progress, upload
from receiver.pbx.wire import Download

FILE = Kind(one="a file", many="files", whole=PromptFile, summary=PromptFile)

_FILENAME = re.compile(
    r'filename\*?=(?:UTF-8\'\'([^;]*)|"((?:[^"\\]|\\.)*)"|([^;"]*))', re.IGNORECASE
)


class Files(Records[PromptFile, PromptFile]):
    """The files of the tenant."""

    def __init__(self, requester: Requester) -> None:
        super().__init__(requester, "/files", FILE)

    async def upload(
        self,
        name: str,
        data: bytes,
        *,
        progress: Progress = lambda sent, total: None,
        checked: bool = True,
    ) -> str:
        """Upload a prompt; the id for ``prompt_file_id``.

        Parameters:
            name: the file's name; folders before it are left out.
            data: the whole file.
            progress: is told how many octets have been sent, of how many.
            checked: False leaves it to the PBX to look at the recording.

        Raises:
            DeclarationError: the PBX cannot play it; the text names the cure.
            PbxError: it did not come about; nothing half is left on the PBX.
        """
        plain = PurePath(name).name
        if not plain or not data:
            raise DeclarationError(f"{name!r} has no name, or is empty: there is nothing to upload")
        if checked:
            examine(name, data)
        return await upload(self._requester, plain, data, progress)

    @asynccontextmanager
    async def download(self, source: str) -> AsyncIterator[Download]:
        """The octets of a file, as they come.

        Parameters:
            source: the ``prompt_file_url`` of an IVR, or the digest of a blob.
        """
        url = source if "/" in source else f"blobs/{segment(source)}"
        found = await self._requester.open("downloading a file", url)
        try:
            yield found
        finally:
            await found.aclose()


def filename(download: Download) -> str:
    """The name that the PBX gives a download, without folders; empty if it gives none."""
    found = _FILENAME.search(download.disposition)
    if found is None:
        return ""
    coded, quoted, bare = found.groups()
    name = unquote(coded) if coded else re.sub(r"\\(.)", r"\1", quoted or bare or "")
    plain = PurePath(name.strip().replace("\\", "/")).name
    return plain if plain.isprintable() and not plain.startswith(".") else ""
