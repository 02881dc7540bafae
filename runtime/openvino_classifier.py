"""Runs a classifier with OpenVINO on the CPU.

The model is compiled twice: with a stream for each core, and for all cores together. A large batch is divided evenly
among the streams, which is faster, since cores wait less for each other. What cannot be divided is run by all cores
together: a lone image would leave all streams but one idle, and a small share is slower on processors with matrix
units. Both compute the same numbers, bit for bit (the export's gate compares them).
"""

import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.classifier import OUTPUTS, Answer, joined
from runtime.errors import ClassifierLoadError
from runtime.openvino_core import openvino_core, shared_tensor
from runtime.spec import RuntimeSpec

_HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}

_CPU_INFO = Path("/proc/cpuinfo")
_SHARE_WITH_AMX = 2
"""Images a core needs at least to be faster alone in bf16 and int8 on AMX; without it one is enough, as it is in fp32.
Measured on two cores, milliseconds divided and together: bf16 75 and 65 for 2 images, 119 and 130 for 4, 168 and 182
for 6; int8 50 and 48, 83 and 88, 119 and 124; fp32 235 and 245 for 2."""


def smallest_share(computed_in: str, cpu_info: Path = _CPU_INFO) -> int:
    """How many images each core must get at least for a batch to be divided among the cores."""
    try:
        has_amx = "amx_bf16" in cpu_info.read_text(encoding="utf-8", errors="replace")
    except OSError:
        has_amx = False
    return _SHARE_WITH_AMX if has_amx and computed_in == "bf16" else 1


def computes_in(number_format: str) -> bool:
    """Whether this processor computes in `fp32`, `bf16` or `fp16` by itself, rather than by way of another format."""
    return number_format.upper() in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def processor() -> str:
    """Name and abilities of this machine's processor, as far as they decide what runs fastest on it."""
    core = openvino_core()
    abilities = sorted(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
    return f"{core.get_property('CPU', 'FULL_DEVICE_NAME')} ({', '.join(abilities)})"


class OpenVinoClassifier:
    """See `Classifier`."""

    def __init__(self, folder: Path, spec: RuntimeSpec, cores: int) -> None:
        """Loads and compiles the graph.

        Raises:
            ClassifierLoadError: The processor lacks the spec's numeric format, or OpenVINO refuses the graph.
        """
        core = openvino_core()
        if not computes_in(spec.computed_in):
            raise ClassifierLoadError(
                f"this release needs a processor that computes in {spec.computed_in}, and this one does not: export "
                "for it with --precision fp32, or on it with --precision auto"
            )
        options: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": _HINTS[spec.computed_in],
            "INFERENCE_NUM_THREADS": cores,
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": spec.dynamic_quantisation_group,
            # Pinned threads would wait for whatever else runs on their core, with other cores idle.
            "ENABLE_CPU_PINNING": False,
        }
        try:
            model = core.read_model(folder / spec.graph)
            together = core.compile_model(model, "CPU", {**options, "NUM_STREAMS": 1})
            each = core.compile_model(model, "CPU", {**options, "NUM_STREAMS": cores}) if cores > 1 else together
        except RuntimeError as error:
            raise ClassifierLoadError(f"OpenVINO cannot load {folder / spec.graph}: {error}") from error
        self._together: Any = together.create_infer_request()
        self._each: list[Any] = [each.create_infer_request() for _ in range(cores)] if cores > 1 else []
        self._smallest_share = smallest_share(spec.computed_in)
        self._lock = threading.Lock()

    def run(self, pixels: NDArray[np.uint8], status: NDArray[np.int32]) -> Answer:
        """See `Classifier.run`."""
        pixels, status = np.ascontiguousarray(pixels), np.ascontiguousarray(status)
        count, streams = len(pixels), len(self._each)
        share = count // streams if streams and count >= streams * self._smallest_share else 0
        divided = share * streams
        with self._lock:
            parts = self._run_divided(pixels[:divided], status[:divided], share) if divided else []
            if divided < count:
                _give(self._together, pixels[divided:], status[divided:])
                self._together.infer()
                parts.append(_take(self._together))
        return joined(parts)

    def close(self) -> None:
        """See `Classifier.close`."""
        with self._lock:
            self._together = None
            self._each = []

    def _run_divided(self, pixels: NDArray[np.uint8], status: NDArray[np.int32], share: int) -> list[Answer]:
        for i, request in enumerate(self._each):
            _give(request, pixels[i * share : (i + 1) * share], status[i * share : (i + 1) * share])
            request.start_async()
        for request in self._each:
            request.wait()
        return [_take(request) for request in self._each]


def _give(request: Any, pixels: NDArray[np.uint8], status: NDArray[np.int32]) -> None:
    """Sets the inputs without copying them: they must live until the request has ended."""
    request.set_tensor("PIXELS", shared_tensor(pixels))
    request.set_tensor("STATUS", shared_tensor(status))


def _take(request: Any) -> Answer:
    """Copies the outputs, whose memory the next inference uses again."""
    return Answer(*(np.array(request.get_tensor(name).data) for name in OUTPUTS))
