"""Files on their way into the PBX, chunk by chunk, and their bytes once they are there.

Rule 1: pure. Ids and tokens are made by functions that are passed in.
Rule 2: each answer has a new token, and only the newest one is good; asking for the status needs
        none, so that an upload whose answer was lost can go on.
Rule 3: where the vendor says nothing it is as in the upload of a container registry: ``Range`` is
        ``0-<last>``, and ``0-0`` as long as there is nothing.

Source: ``/blobs`` of the vendor's OpenAPI file. What a wrong digest leads to is not documented;
here it is refused, and the upload may go on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from receiver.simulator.behaviour import Behaviour
from receiver.simulator.schema import invalid, missing

_PREFIX = "sha256:"
_MEDIA = {"wav": "audio/vnd.wave", "mp3": "audio/mpeg", "txt": "text/plain"}


@dataclass(slots=True)
class Upload:
    """One upload; ``temporary`` files are kept for a while only, which is not imitated."""

    key: str
    filename: str
    temporary: bool
    token: str
    data: bytearray = field(default_factory=bytearray, repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """What each answer about it says."""
        return {
            "PortSIP-Upload-ID": self.key,
            "PortSIP-Upload-Token": self.token,
            "Content-Length": "0",
            "Range": f"0-{max(0, len(self.data) - 1)}",
        }


@dataclass(frozen=True, slots=True)
class Blob:
    """The bytes of a file, under the SHA-256 of theirs."""

    digest: str
    filename: str
    data: bytes = field(repr=False)


class Uploads:
    """Uploads and blobs.

    Parameters:
        new_id: gives an id that was never given before.
        new_token: gives a token that was never given before.
    """

    def __init__(self, new_id: Callable[[], str], new_token: Callable[[], str]) -> None:
        self._new_id = new_id
        self._new_token = new_token
        self._uploads: dict[str, Upload] = {}
        self._blobs: dict[str, Blob] = {}

    def begin(self, filename: str, temporary: bool) -> Upload:
        """A new upload, still without a byte."""
        upload = Upload(self._new_id(), filename, temporary, self._new_token())
        self._uploads[upload.key] = upload
        return upload

    def append(self, key: str, token: str, data: bytes) -> Upload:
        """Add a chunk.

        Raises:
            Fault: 404, there is no such upload; 400, the token is not its newest.
        """
        upload = self._good(key, token)
        upload.data += data
        upload.token = self._new_token()
        return upload

    def status(self, key: str) -> Upload:
        """How far an upload is, with a new token; errors as for `cancel`."""
        upload = self._find(key)
        upload.token = self._new_token()
        return upload

    def complete(
        self, key: str, token: str, data: bytes, digest: str, behaviour: Behaviour
    ) -> Blob:
        """Add what is left, and end the upload.

        Parameters:
            digest: the SHA-256 of the whole, in the form that ``behaviour`` wants; empty for none.

        Raises:
            Fault: 404, there is no such upload; 400, the token is not its newest, or the digest
                not that of the bytes.
        """
        upload = self._good(key, token)
        whole = bytes(upload.data) + data
        found = hashlib.sha256(whole).hexdigest()
        wanted = _PREFIX + found if behaviour.digests == "prefixed" else found
        if digest and digest != wanted:
            raise invalid("digest", "is not the SHA-256 of what was sent")
        del self._uploads[key]
        blob = Blob(found, upload.filename, whole)
        return self._blobs.setdefault(found, blob)

    def cancel(self, key: str) -> None:
        """Forget an upload.

        Raises:
            Fault: 404, there is no such upload.
        """
        self._find(key)
        del self._uploads[key]

    def blob(self, digest: str) -> Blob:
        """What is stored under a digest.

        Raises:
            Fault: 404, there is nothing.
        """
        if digest not in self._blobs:
            raise missing("blob")
        return self._blobs[digest]

    def forget(self, digest: str) -> None:
        """No file has these bytes any more."""
        self._blobs.pop(digest, None)

    def _find(self, key: str) -> Upload:
        if key not in self._uploads:
            raise missing("upload")
        return self._uploads[key]

    def _good(self, key: str, token: str) -> Upload:
        upload = self._find(key)
        if not token:
            raise invalid("the header PortSIP-Upload-Token", "is required")
        if token != upload.token:
            raise invalid("the header PortSIP-Upload-Token", "is not the newest of this upload")
        return upload


def media_type(filename: str) -> str:
    """The media type that goes with a file name."""
    _, dot, ending = filename.rpartition(".")
    return _MEDIA.get(ending.lower() if dot else "", "application/octet-stream")
