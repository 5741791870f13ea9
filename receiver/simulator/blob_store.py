"""Uploads in chunks, and the blobs that they become.

Rule 1: pure. Ids and tokens come from functions that are passed in.
Rule 2: each answer has a new token, and only the newest one is valid; the status needs no token,
        so that an upload can resume after a lost answer.
Rule 3: what is not documented is as in the upload of a container registry: ``Range`` is
        ``0-<last>``, and ``0-0`` for an empty upload.

Source: ``/blobs`` of the vendor's OpenAPI file. The answer to a wrong digest is not documented;
here it is refused, and the upload can continue.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from receiver.simulator.behaviour import Behaviour
from receiver.simulator.validation import invalid, missing

_PREFIX = "sha256:"
_MEDIA = {"wav": "audio/vnd.wave", "mp3": "audio/mpeg", "txt": "text/plain"}


@dataclass(slots=True)
class Upload:
    """One upload; the expiry of ``temporary`` files is not simulated."""

    key: str
    filename: str
    temporary: bool
    token: str
    data: bytearray = field(default_factory=bytearray, repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """The headers of each answer about it."""
        return {
            "PortSIP-Upload-ID": self.key,
            "PortSIP-Upload-Token": self.token,
            "Content-Length": "0",
            "Range": f"0-{max(0, len(self.data) - 1)}",
        }


@dataclass(frozen=True, slots=True)
class Blob:
    """The bytes of a file, and their SHA-256."""

    digest: str
    filename: str
    data: bytes = field(repr=False)


class BlobStore:
    """BlobStore and blobs.

    Parameters:
        new_id: returns a new id.
        new_token: returns a new token.
    """

    def __init__(self, new_id: Callable[[], str], new_token: Callable[[], str]) -> None:
        self._new_id = new_id
        self._new_token = new_token
        self._uploads: dict[str, Upload] = {}
        self._blobs: dict[str, Blob] = {}

    def begin(self, filename: str, temporary: bool) -> Upload:
        """Return a new, empty upload."""
        upload = Upload(self._new_id(), filename, temporary, self._new_token())
        self._uploads[upload.key] = upload
        return upload

    def append(self, key: str, token: str, data: bytes) -> Upload:
        """Add a chunk.

        Raises:
            ApiError: 404, there is no such upload; 400, the token is not its newest.
        """
        upload = self._checked(key, token)
        upload.data += data
        upload.token = self._new_token()
        return upload

    def status(self, key: str) -> Upload:
        """Return an upload with a new token; errors as for `cancel`."""
        upload = self._find(key)
        upload.token = self._new_token()
        return upload

    def complete(
        self, key: str, token: str, data: bytes, digest: str, behaviour: Behaviour
    ) -> Blob:
        """Append the rest, and complete the upload.

        Parameters:
            digest: the SHA-256 of the whole, in the form of ``behaviour``; empty for none.

        Raises:
            ApiError: 404, there is no such upload; 400, the token is not its newest, or the digest
                not that of the bytes.
        """
        upload = self._checked(key, token)
        whole = bytes(upload.data) + data
        found = hashlib.sha256(whole).hexdigest()
        wanted = _PREFIX + found if behaviour.digests == "prefixed" else found
        if digest and digest != wanted:
            raise invalid("digest", "is not the SHA-256 of what was sent")
        del self._uploads[key]
        blob = Blob(found, upload.filename, whole)
        return self._blobs.setdefault(found, blob)

    def cancel(self, key: str) -> None:
        """Delete an upload.

        Raises:
            ApiError: 404, there is no such upload.
        """
        self._find(key)
        del self._uploads[key]

    def blob(self, digest: str) -> Blob:
        """Return the blob with a digest.

        Raises:
            ApiError: 404, there is no such blob.
        """
        if digest not in self._blobs:
            raise missing("blob")
        return self._blobs[digest]

    def forget(self, digest: str) -> None:
        """Delete the blob with a digest."""
        self._blobs.pop(digest, None)

    def _find(self, key: str) -> Upload:
        if key not in self._uploads:
            raise missing("upload")
        return self._uploads[key]

    def _checked(self, key: str, token: str) -> Upload:
        upload = self._find(key)
        if not token:
            raise invalid("the header PortSIP-Upload-Token", "is required")
        if token != upload.token:
            raise invalid("the header PortSIP-Upload-Token", "is not the newest of this upload")
        return upload


def media_type(filename: str) -> str:
    """Return the media type for a file name."""
    _, dot, ending = filename.rpartition(".")
    return _MEDIA.get(ending.lower() if dot else "", "application/octet-stream")
