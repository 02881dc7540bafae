"""Runs a TensorRT plan as Triton's tensorrt backend does: one execution context for each optimisation profile."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import tensorrt
from numpy.typing import NDArray

from runtime.batch_profiles import BatchProfile, profile_for
from runtime.classifier import INPUTS, OUTPUTS, Answer, joined
from runtime.errors import ClassifierLoadError, ClassifierRunError
from runtime.gpu_memory import GpuBuffers
from runtime.spec import RuntimeSpec

_TYPES: dict[str, type[np.generic]] = {
    "PIXELS": np.uint8,
    "STATUS": np.int32,
    "FAKE_PROBABILITY": np.float32,
    "PROBABILITIES": np.float32,
    "EXPORT_ID": np.int32,
}


class TensorRtClassifier:
    """See `Classifier`."""

    def __init__(self, folder: Path, spec: RuntimeSpec) -> None:
        """Loads the plan onto the current GPU.

        Raises:
            ClassifierLoadError: TensorRT refuses it, or the GPU has no room for it.
        """
        path = folder / spec.graph
        logger = tensorrt.Logger(tensorrt.Logger.ERROR)
        try:
            self._runtime: Any = tensorrt.Runtime(logger)
            self._engine: Any = self._runtime.deserialize_cuda_engine(path.read_bytes())
        except (OSError, RuntimeError, TypeError) as error:  # TypeError: the factory of a broken CUDA gives nothing
            raise ClassifierLoadError(f"TensorRT cannot load {path}: {error}") from error
        if self._engine is None:
            raise ClassifierLoadError(f"TensorRT cannot load {path}: it was built by another TensorRT, export it again")
        self.profiles = tuple(
            BatchProfile(int(smallest[0]), int(largest[0]))
            for smallest, _best, largest in (
                self._engine.get_tensor_profile_shape("PIXELS", index)
                for index in range(self._engine.num_optimization_profiles)
            )
        )
        self._largest = max(profile.largest for profile in self.profiles)
        self._lock = threading.Lock()
        try:
            self._buffers = GpuBuffers()
            self._contexts = [self._context(index) for index in range(len(self.profiles))]
            self._allocate()
        except ClassifierRunError as error:
            raise ClassifierLoadError(f"{path} cannot be run here: {error}") from error

    def run(self, pixels: NDArray[np.uint8], status: NDArray[np.int32]) -> Answer:
        """See `Classifier.run`.

        Raises:
            ClassifierRunError: The GPU failed.
        """
        with self._lock:
            parts = [
                self._run(pixels[start : start + self._largest], status[start : start + self._largest])
                for start in range(0, len(pixels), self._largest)
            ]
        return joined(parts)

    def close(self) -> None:
        """See `Classifier.close`."""
        with self._lock:
            self._contexts = []
            self._buffers.free()
            self._engine = None

    def _run(self, pixels: NDArray[np.uint8], status: NDArray[np.int32]) -> Answer:
        context = self._contexts[profile_for(self.profiles, len(pixels))]
        feed: dict[str, NDArray[Any]] = {
            "PIXELS": np.ascontiguousarray(pixels),
            "STATUS": np.ascontiguousarray(status),
        }
        for name, values in feed.items():
            _set_shape(context, name, values.shape)
            self._buffers.fill(name, values)
        if not context.execute_async_v3(self._buffers.stream):
            raise ClassifierRunError("TensorRT could not run the plan")
        answer = Answer(*(np.zeros(_shape(context, name), _TYPES[name]) for name in OUTPUTS))  # type: ignore[arg-type]
        for name, values in zip(OUTPUTS, answer, strict=True):
            self._buffers.read(name, values)
        self._buffers.wait()
        return answer

    def _context(self, profile: int) -> Any:
        context = self._engine.create_execution_context()
        if context is None:
            raise ClassifierRunError("the GPU has no memory left for it")
        if not context.set_optimization_profile_async(profile, self._buffers.stream):
            raise ClassifierRunError(f"TensorRT does not take the profile {profile}")
        self._buffers.wait()
        return context

    def _allocate(self) -> None:
        """Makes the buffers, as large as the largest batch needs them, and tells every context where they lie."""
        widest = self._contexts[profile_for(self.profiles, self._largest)]
        for name in INPUTS:
            _set_shape(widest, name, (self._largest, *tuple(self._engine.get_tensor_shape(name))[1:]))
        for name, dtype in _TYPES.items():
            self._buffers.allocate(name, int(np.prod(_shape(widest, name))) * np.dtype(dtype).itemsize)
            for context in self._contexts:
                if not context.set_tensor_address(name, self._buffers.address(name)):
                    raise ClassifierRunError(f"the plan has no tensor {name}")


def _set_shape(context: Any, name: str, shape: tuple[int, ...]) -> None:
    if not context.set_input_shape(name, tuple(int(size) for size in shape)):
        raise ClassifierRunError(f"the plan does not take {name} of shape {shape}")


def _shape(context: Any, name: str) -> tuple[int, ...]:
    """A tensor's shape for the inputs that were set."""
    return tuple(int(size) for size in tuple(context.get_tensor_shape(name)))
