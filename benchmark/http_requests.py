"""What a load generator sends: bodies made of files or given as text, one after the other."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

_BOUNDARY = "deepfake-serving-benchmark"


@dataclass(frozen=True)
class HttpRequests:
    """POST requests to one path. Each body is sent once; when all have been sent, the first follows again.

    Attributes:
        path: Path of the URL.
        content_type: Of every body.
        images: Images that one request asks about.
        files: Each file is the middle of a body, read when it is sent.
        texts: Or: bodies as they are.
        prefix: Before each file's content.
        suffix: After it.
    """

    path: str
    content_type: str
    images: int = 1
    files: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    prefix: str = ""
    suffix: str = ""

    def __post_init__(self) -> None:
        if bool(self.files) == bool(self.texts):
            raise ValueError("requests need bodies: either files or texts")

    def __len__(self) -> int:
        return len(self.files) or len(self.texts)

    def body(self, number: int) -> bytes:
        """The body of a request by its number, from 0."""
        if self.texts:
            return self.texts[number % len(self)].encode()
        content = Path(self.files[number % len(self)]).read_bytes()
        return self.prefix.encode() + content + self.suffix.encode() if self.prefix else content

    def skip(self, count: int) -> Self:
        """The same requests from another one on, so that no run repeats the bodies of the one before."""
        at = count % len(self)
        return replace(self, files=self.files[at:] + self.files[:at], texts=self.texts[at:] + self.texts[:at])

    def to_json(self) -> dict[str, Any]:
        """The inverse of `from_json`."""
        return dict(vars(self))

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """From what `to_json` gave, after JSON."""
        return cls(**{**values, "files": tuple(values["files"]), "texts": tuple(values["texts"])})


def predict_requests(images: Sequence[Path]) -> HttpRequests:
    """POST /predict of the contenders: one image as it is."""
    return HttpRequests("/predict", "application/octet-stream", files=_absolute(images))


def detect_requests(images: Sequence[Path]) -> HttpRequests:
    """POST /detect of the gateway: one image as a form's file."""
    head = 'Content-Disposition: form-data; name="file"; filename="image"\r\nContent-Type: application/octet-stream'
    return HttpRequests(
        "/detect", f"multipart/form-data; boundary={_BOUNDARY}", files=_absolute(images),
        prefix=f"--{_BOUNDARY}\r\n{head}\r\n\r\n", suffix=f"\r\n--{_BOUNDARY}--\r\n",
    )  # fmt: skip


def inference_requests(frames: Sequence[Path], media_root: Path, frames_each: int = 30) -> HttpRequests:
    """POST /api/v1/inference: videos of frames below the media root, each frame in one video only.

    Raises:
        ValueError: There are fewer frames than one video takes, or one lies elsewhere.
    """
    root = media_root.resolve()
    relative = [str(frame.resolve().relative_to(root)) for frame in frames]
    videos = [relative[at : at + frames_each] for at in range(0, len(relative) - frames_each + 1, frames_each)]
    bodies = (json.dumps({"mediaType": "VIDEO", "extractedFrames": video}) for video in videos)
    return HttpRequests("/api/v1/inference", "application/json", images=frames_each, texts=tuple(bodies))


def _absolute(paths: Sequence[Path]) -> tuple[str, ...]:
    return tuple(str(path.resolve()) for path in paths)
