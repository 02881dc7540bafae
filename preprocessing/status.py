"""The status table of one image: what the ensemble's STATUS tensor means.

This is the only copy. The export writes it into every release, and clients read it from the server, so a client
that is older than its server still prints the right name.
"""

from dataclasses import dataclass
from enum import IntEnum


class Status(IntEnum):
    """Outcome of preprocessing one image. Only `OK` images are scored; codes are never renumbered."""

    OK = 0
    EMPTY = 1
    NOT_AN_IMAGE = 2
    UNSUPPORTED_FORMAT = 3
    TOO_MANY_BYTES = 4
    TOO_MANY_PIXELS = 5
    DECODE_FAILED = 6
    INTERNAL = 7
    TOO_COMPLEX = 8
    FACE_BOX_OUTSIDE = 9


@dataclass(frozen=True)
class StatusEntry:
    """A row of the table: the code's name and a sentence that says what to do."""

    name: str
    meaning: str


STATUS_TABLE: dict[int, StatusEntry] = {
    code.value: StatusEntry(code.name, meaning)
    for code, meaning in {
        Status.OK: "The image was decoded and scored.",
        Status.EMPTY: "There were no bytes. Send the encoded image file.",
        Status.NOT_AN_IMAGE: "The bytes are no image. Send a JPEG, PNG, BMP, WebP, GIF, TIFF, HEIC or AVIF file.",
        Status.UNSUPPORTED_FORMAT: "An image, but of a format that is not accepted. Send JPEG or PNG, for example.",
        Status.TOO_MANY_BYTES: "The encoded image is over the limit of bytes. Send a smaller file.",
        Status.TOO_MANY_PIXELS: "The header announces more pixels than the limit. Send a smaller image.",
        Status.DECODE_FAILED: "The header is fine but the pixels cannot be decoded: truncated or corrupt.",
        Status.INTERNAL: "Preprocessing failed for a reason that is not the image's fault. See the server's log.",
        Status.TOO_COMPLEX: "The file is built so that decoding it takes too long. Save the image again plainly.",
        Status.FACE_BOX_OUTSIDE: "The given face box covers no part of the image. Give pixels after EXIF orientation.",
    }.items()
}


class ImageRejectedError(Exception):
    """An image cannot be prepared. `status` is never `Status.OK`.

    Attributes:
        status: The reason, as sent in the STATUS tensor.
    """

    def __init__(self, status: Status, detail: str = "") -> None:
        super().__init__(detail or STATUS_TABLE[status].meaning)
        self.status = status
