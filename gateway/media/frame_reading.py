"""From listed paths to the encoded frames that are scored: all are checked, the sampled ones are read."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from deepfake_client import MediaType
from deepfake_client.media import SNIFF_BYTES, sniff
from deepfake_client.scorer import Deadline
from deepfake_client.scores import sample_indices
from gateway.errors import ApiError
from gateway.media.media_root import MediaRoot, OutsideRootError, UnreadableFileError
from gateway.settings import GatewaySettings

_URL = re.compile(r"[a-z][a-z0-9+.-]+:(//|[a-z]+/)", re.IGNORECASE)  # data:image/jpeg too
_OF_WINDOWS = re.compile(r"[a-z]:/|.*\\", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class ListedFrame:
    """A sampled frame.

    Attributes:
        index: Position in the request's list.
        path: As the request wrote it.
        encoded: The file's content, None if it cannot be read.
        status: Why not, "" otherwise.
        message: The same for people.
    """

    index: int
    path: str
    encoded: bytes | None
    status: str = ""
    message: str = ""


def read_listed_frames(
    paths: Sequence[str], media_type: MediaType, root: MediaRoot, settings: GatewaySettings, deadline: Deadline
) -> list[ListedFrame]:
    """Reads the first path of an image, or paths of a video spread evenly over the list.

    Raises:
        ApiError: A listed path, sampled or not, leads outside the media root; the list is too long; or the sampled
            files are too large together.
        DeadlineExceededError: Reading takes too long.
    """
    if len(paths) > settings.max_listed_frames:
        raise ApiError(
            "TOO_MANY_FRAMES",
            f"extractedFrames lists {len(paths)} paths; at most {settings.max_listed_frames} are taken.",
        )
    resolved = []
    for index, path in enumerate(paths):
        deadline.remaining_s()
        try:
            resolved.append(root.resolve(path))
        except OutsideRootError:
            # The same answer whether anything exists there or not.
            raise ApiError(
                "PATH_OUTSIDE_MEDIA_ROOT",
                f"extractedFrames[{index}] lies outside the media root; no frame of this request was read. "
                "List files below the media root only, by paths of at most 256 parts.",
            ) from None
    frames: list[ListedFrame] = []
    budget = settings.max_total_frame_bytes
    for index in sample_indices(len(paths)) if media_type is MediaType.VIDEO else [0]:
        deadline.remaining_s()
        try:
            encoded = root.read(resolved[index], settings.max_frame_bytes)
            _refuse_other_formats(encoded, settings)
            frame = ListedFrame(index, paths[index], encoded)
        except UnreadableFileError as error:
            is_first = all(frame.encoded is not None for frame in frames)  # the one that the answer's message shows
            hint = _hint(paths[index], root) if is_first and error.status == "UNREADABLE" else ""
            frame = ListedFrame(index, paths[index], None, error.status, f"{error}{hint}")
        budget -= len(frame.encoded or b"")
        if budget < 0:
            raise ApiError(
                "FRAMES_TOO_LARGE",
                f"The frames that are scored hold more than {settings.max_total_frame_bytes} bytes together. "
                "Send smaller images.",
            )
        frames.append(frame)
    return frames


def _refuse_other_formats(encoded: bytes, settings: GatewaySettings) -> None:
    format_ = sniff(encoded[:SNIFF_BYTES])
    if format_ is not None and format_.name not in settings.accepted_formats.split(","):
        raise UnreadableFileError("UNSUPPORTED_FORMAT", f"{format_.title} is not accepted here.")


def _hint(path: str, root: MediaRoot) -> str:
    """What may be wrong with a path to nothing, as the end of a message; "" if nobody can tell."""
    if _URL.match(path):
        return (
            " extractedFrames takes paths of files below the media root, no URLs. POST /detect takes files themselves."
        )
    if _OF_WINDOWS.match(path):
        return " This looks like a path of Windows. Write /, no drive letter, and begin at the media root."
    if tail := root.tail_of(path):
        above = path.removesuffix(tail)
        return f" {tail} does exist: set MEDIA_ROOT to the folder that holds {above}, or leave {above} out."
    return ""
