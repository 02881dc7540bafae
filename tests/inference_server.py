"""An in-process gRPC server that speaks the models' contracts and does what a test tells it.

Images are scored by what their bytes say: `p=0.25` is a fake probability (`p=nan` one that no sane model gives),
`status=6` a STATUS code, `face` a face, `face-nan` a face whose box is partly NaN and whose score is infinite,
`faces=0.2/0.9` two faces at `face_box_px(0)` and `face_box_px(1)` with these fake probabilities. PNG and TIFF images,
and bytes that say nothing, get a probability made from their hash.
"""

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc
from tritonclient.utils import np_to_triton_dtype

from deepfake_client.release import DESCRIPTION_PARAMETER

MODEL = "deepfake_detector"
PREPROCESS = "preprocess"
CLASSIFIER = "classifier"
EXPORT_ID = 20_251
_SIDE_PX = 8
FACE_BOX_PX = (10.0, 20.0, 110.0, 140.0)
MAX_FACES = 8

_STATUS_NAMES = (
    "OK",
    "EMPTY",
    "NOT_AN_IMAGE",
    "UNSUPPORTED_FORMAT",
    "TOO_MANY_BYTES",
    "TOO_MANY_PIXELS",
    "DECODE_FAILED",
    "INTERNAL",
    "TOO_COMPLEX",
)

DESCRIPTION: dict[str, Any] = {
    "model": "example/detector",
    "release_id": "0123456789ab",
    "export_id": EXPORT_ID,
    "precision": "fp32",
    "architecture": "SiglipForImageClassification",
    "backend": "python",
    "checkpoint_sha256": "fedcba9876543210" * 4,
    "labels": ["Fake", "Real"],
    "fake_labels": ["Fake"],
    "preprocess": {"resize": {"size_px": 224}, "face_detection": True, "crop_factor": 1.3, "max_pixels": 50_000_000},
    "preprocessing_version": 1,
    "trained": True,
    "notice": "",
    "verdict_bands": {
        "image": {"real_below": 0.3, "fake_above": 0.7},
        "video": {"real_below": 0.4, "fake_above": 0.6},
    },
    "statuses": {
        str(code): {"name": name, "meaning": f"Meaning of {name}."} for code, name in enumerate(_STATUS_NAMES)
    },
}

FUSED: dict[str, Any] = {
    **DESCRIPTION,
    "model": "example/face + example/whole",
    "preprocess": {
        **DESCRIPTION["preprocess"],
        "further_views": [{"resize": {"size_px": 224}, "crop_factor": 1.3, "whole_image": True}],
    },
    "members": [
        {
            "name": f"example/{name}",
            "architecture": "SiglipForImageClassification",
            "checkpoint_sha256": "ab" * 32,
            "precision": "fp32",
            "export_id": EXPORT_ID + number,
            "labels": ["Fake", "Real"],
            "fake_labels": ["Fake"],
            "scope": "any",
            "whole_image": name == "whole",
            "crop_factor": 1.3,
            "calibrated": name == "face",
            "weight": weight,
        }
        for number, (name, weight) in enumerate([("face", 0.75), ("whole", 0.5)], 1)
    ],
    "fusion_intercept": -0.25,
}
"""Of a release of two models."""


def face_box_px(number: int) -> tuple[float, float, float, float]:
    """Where the faces of an image are: beside each other, each 10 px smaller than the one before."""
    left = 10.0 + 200 * number
    return left, 20.0, left + 100 - 10 * number, 140.0 - 10 * number


def jpeg(says: str) -> bytes:
    """Bytes that are sniffed as a JPEG file and say something to the server."""
    return b"\xff\xd8\xff\xe0" + says.encode()


@dataclass
class Behaviour:
    """What the server does; a test changes it while the server runs.

    Attributes:
        delay_s: How long each inference takes.
        error: gRPC status and message that each inference fails with.
        gate: Holds every inference until it is set.
        served: Whether the models exist.
        description: The ensemble's description, None for a foreign model.
        drop_output: Name of an output tensor that is left out.
        export_id: Which export answers.
    """

    delay_s: float = 0.0
    error: tuple[grpc.StatusCode, str] | None = None
    gate: threading.Event | None = None
    served: bool = True
    description: dict[str, Any] | None = field(default_factory=lambda: dict(DESCRIPTION))
    drop_output: str | None = None
    export_id: int = EXPORT_ID


class FailingFirst(Behaviour):
    """Fails the first inferences with the given errors (None: serves that one), then serves."""

    def __init__(self, *errors: tuple[grpc.StatusCode, str] | None, **others: Any) -> None:
        self._errors = list(errors)
        self._of_this_call = threading.local()
        super().__init__(**others)

    @property
    def error(self) -> tuple[grpc.StatusCode, str] | None:
        """The server reads it twice in a call that fails: once to see whether, once to say how."""
        if error := self._of_this_call.__dict__.pop("error", None):
            return error
        self._of_this_call.error = self._errors.pop(0) if self._errors else None
        return self._of_this_call.error

    @error.setter
    def error(self, _value: Any) -> None: ...


@dataclass(frozen=True)
class Received:
    """An inference request that arrived."""

    request_id: str
    images: tuple[bytes, ...]
    metadata: dict[str, str] = field(default_factory=dict)
    face_boxes: np.ndarray | None = None
    model: str = MODEL


class InferenceServer(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """Starts on a free port of the loopback address. `stop` is abrupt; `start` after it takes the same port again."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self.behaviour = Behaviour()
        self.received: list[Received] = []
        self.host, self.port = host, port
        self.credentials: grpc.ServerCredentials | None = None
        self.options: list[tuple[str, int]] = []
        self._server: Any = None
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """host:port of the server."""
        return f"{self.host}:{self.port}"

    def start(self) -> None:
        """Begins to serve."""
        self._pool = ThreadPoolExecutor(max_workers=16)
        self._server = grpc.server(self._pool, options=[("grpc.max_receive_message_length", -1), *self.options])
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self._server)
        if self.credentials is None:
            self.port = self._server.add_insecure_port(self.url)
        else:
            self.port = self._server.add_secure_port(self.url, self.credentials)
        self._server.start()

    def stop(self) -> None:
        """Drops all calls and closes the port."""
        if self.behaviour.gate is not None:
            self.behaviour.gate.set()
        if self._server is not None:
            self._server.stop(grace=None).wait()
            self._server = None
        if self._pool is not None:
            self._pool.shutdown()

    def ModelReady(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        return service_pb2.ModelReadyResponse(ready=self.behaviour.served)

    def ModelConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._require_model(request.name, context)
        config = model_config_pb2.ModelConfig(name=MODEL, max_batch_size=32)
        if self.behaviour.description is not None:
            config.parameters[DESCRIPTION_PARAMETER].string_value = json.dumps(self.behaviour.description)
        return service_pb2.ModelConfigResponse(config=config)

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._require_model(request.model_name, context)
        decode = _decode_pixels if request.model_name == CLASSIFIER else _decode_bytes_tensor
        images = tuple(decode(request.raw_input_contents[0]))
        with self._lock:
            metadata = {name: value for name, value in context.invocation_metadata() if isinstance(value, str)}
            given = zip(request.inputs[1:], request.raw_input_contents[1:], strict=True)
            boxes = [np.frombuffer(raw, np.float32).reshape(-1, 4) for tensor, raw in given if tensor.name == "FACE"]
            self.received.append(Received(request.id, images, metadata, *(boxes or [None]), request.model_name))
        behaviour = self.behaviour
        if behaviour.gate is not None:
            behaviour.gate.wait()
        if behaviour.delay_s:
            threading.Event().wait(behaviour.delay_s)
        if behaviour.error is not None:
            context.abort(*behaviour.error)
        tensors = _answer(images, *boxes)
        tensors["EXPORT_ID"][:] = behaviour.export_id
        if request.model_name == PREPROCESS:
            tensors["PIXELS"] = _pixels(tensors["FAKE_PROBABILITY"], tensors["STATUS"])
        if behaviour.drop_output is not None:
            del tensors[behaviour.drop_output]
        wanted = [output.name for output in request.outputs] or list(tensors)
        return _encode(request, {name: tensors[name] for name in wanted if name in tensors})

    def _require_model(self, name: str, context: Any) -> None:
        if name not in (MODEL, PREPROCESS, CLASSIFIER) or not self.behaviour.served:
            context.abort(grpc.StatusCode.UNAVAILABLE, f"Request for unknown model: '{name}' is not found")


@contextmanager
def inference_server(host: str = "127.0.0.1", port: int = 0) -> Iterator[InferenceServer]:
    """A running server."""
    server = InferenceServer(host, port)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _answer(images: Sequence[bytes], given: np.ndarray | None = None) -> dict[str, np.ndarray]:
    status = np.array([_said(image, rb"status=(\d+)", int, 0 if image else 1) for image in images], np.int32)
    fake = np.array([_said(image, rb"p=(nan|[0-9.]+)", float, _hashed(image)) for image in images], np.float32)
    faces = np.full((len(images), MAX_FACES, 5), np.nan, np.float32)
    for i, image in enumerate(images):
        of_faces = _said(image, rb"faces=([0-9./]+)", lambda text: [float(p) for p in text.split(b"/")], [])
        for number, p in enumerate(of_faces):
            faces[i, number] = (*face_box_px(number), 0.9)
            if number == 0 or (given is not None and tuple(given[i]) == face_box_px(number)):
                fake[i] = p
        if b"face" in _text(image):
            faces[i, 0] = (*FACE_BOX_PX, 0.9)
        if b"face-nan" in _text(image):
            faces[i, 0, [2, 4]] = np.nan, np.inf
        if given is not None and not np.isnan(given[i]).all():
            faces[i] = np.nan
    fake[status != 0] = np.nan
    return {
        "FAKE_PROBABILITY": fake.reshape(-1, 1),
        "PROBABILITIES": np.stack([fake, 1 - fake], axis=1),
        "FACES": faces,
        "EXPORT_ID": np.zeros((len(images), 1), np.int32),
        "STATUS": status.reshape(-1, 1),
    }


def _said(image: bytes, pattern: bytes, convert: Callable[[bytes], Any], otherwise: Any) -> Any:
    match = re.search(pattern, _text(image))
    return convert(match.group(1)) if match else otherwise


def _text(image: bytes) -> bytes:
    """What an image may say; pixels of a real one say something only by accident."""
    return b"" if image.startswith((b"\x89PNG", b"II*\0")) else image


def _hashed(image: bytes) -> float:
    return int.from_bytes(hashlib.sha256(image).digest()[:4], "big") / 2**32


def _decode_bytes_tensor(raw: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(raw):
        length = int.from_bytes(raw[position : position + 4], "little")
        yield raw[position + 4 : position + 4 + length]
        position += 4 + length


def _pixels(probabilities: np.ndarray, statuses: np.ndarray) -> np.ndarray:
    """Pixels that say to `classifier` what the images said."""
    said = [jpeg(f"p={p:.9f} status={status}") for (p,), (status,) in zip(probabilities, statuses, strict=True)]
    rows = [np.frombuffer(text.ljust(_SIDE_PX**2 * 3, b"\0"), np.uint8) for text in said]
    return np.stack(rows).reshape(-1, _SIDE_PX, _SIDE_PX, 3)


def _decode_pixels(raw: bytes) -> Iterator[bytes]:
    size = _SIDE_PX**2 * 3
    return (raw[start : start + size].rstrip(b"\0") for start in range(0, len(raw), size))


def _encode(request: Any, tensors: dict[str, np.ndarray]) -> Any:
    response = service_pb2.ModelInferResponse(model_name=MODEL, model_version="1", id=request.id)
    for name, values in tensors.items():
        output = response.outputs.add()
        output.name = name
        output.datatype = np_to_triton_dtype(values.dtype)
        output.shape.extend(values.shape)
        response.raw_output_contents.append(values.tobytes())
    return response
