"""The part of TensorRT's Python API that the project uses; a plan holds its ONNX graph, which onnxruntime runs."""

import ctypes
import json
from base64 import b64decode, b64encode
from enum import Enum, IntEnum
from typing import Any

import numpy as np
import onnx
import onnxruntime

_INPUTS = {"PIXELS": np.uint8, "STATUS": np.int32}
_OUTPUTS = ("FAKE_PROBABILITY", "PROBABILITIES", "EXPORT_ID")
Shapes = dict[str, tuple[tuple[int, ...], ...]]


class Logger:
    ERROR = 1

    def __init__(self, severity: int) -> None:
        self.severity = severity


class NetworkDefinitionCreationFlag(IntEnum):
    STRONGLY_TYPED = 1


class BuilderFlag(Enum):
    TF32 = "TF32"


class MemoryPoolType(Enum):
    WORKSPACE = "WORKSPACE"


class Network:
    def __init__(self, flags: int) -> None:
        assert flags == 1 << NetworkDefinitionCreationFlag.STRONGLY_TYPED
        self.graph = b""


class OnnxParser:
    def __init__(self, network: Network, logger: Logger) -> None:
        self._network = network
        self._errors: list[str] = []

    def parse_from_file(self, path: str) -> bool:
        try:
            self._network.graph = onnx.load(path).SerializeToString()
        except Exception as error:
            self._errors.append(f"{type(error).__name__} in the graph")
        return not self._errors

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> str:
        return self._errors[index]


class Profile:
    def __init__(self) -> None:
        self.shapes: Shapes = {}

    def set_shape(self, name: str, smallest: Any, best: Any, largest: Any) -> None:
        self.shapes[name] = (tuple(smallest), tuple(best), tuple(largest))


class Config:
    def __init__(self) -> None:
        self.flags = {BuilderFlag.TF32}  # on, unless it is cleared
        self.profiles: list[Shapes] = []

    def set_memory_pool_limit(self, pool: MemoryPoolType, size: int) -> None:
        assert pool is MemoryPoolType.WORKSPACE
        assert size > 0

    def clear_flag(self, flag: BuilderFlag) -> None:
        self.flags.discard(flag)

    def add_optimization_profile(self, profile: Profile) -> int:
        ordered = all(low[0] <= best[0] <= high[0] for low, best, high in profile.shapes.values())
        if not ordered or set(profile.shapes) != set(_INPUTS):
            return -1
        self.profiles.append(profile.shapes)
        return len(self.profiles) - 1


class Builder:
    def __init__(self, logger: Logger) -> None:
        pass

    def create_network(self, flags: int = 0) -> Network:
        return Network(flags)

    def create_builder_config(self) -> Config:
        return Config()

    def create_optimization_profile(self) -> Profile:
        return Profile()

    def build_serialized_network(self, network: Network, config: Config) -> bytes | None:
        if not config.profiles or b"unbuildable" in network.graph:
            return None
        plan = {"profiles": config.profiles, "tf32": BuilderFlag.TF32 in config.flags}
        return json.dumps({**plan, "graph": b64encode(network.graph).decode()}).encode()


class Runtime:
    def __init__(self, logger: Logger) -> None:
        pass

    def deserialize_cuda_engine(self, plan: bytes) -> "Engine | None":
        try:
            return Engine(json.loads(plan))
        except ValueError:
            return None


class Engine:
    def __init__(self, plan: dict[str, Any]) -> None:
        self.profiles = plan["profiles"]
        self.num_optimization_profiles = len(self.profiles)
        self.graph = b64decode(plan["graph"])
        inputs = onnx.load_from_string(self.graph).graph.input
        self._shapes = {i.name: [d.dim_value or -1 for d in i.type.tensor_type.shape.dim] for i in inputs}

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
        return [tuple(shape) for shape in self.profiles[profile_index][name]]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._shapes[name])

    def create_execution_context(self) -> "Context":
        return Context(self)


class Context:
    def __init__(self, engine: Engine) -> None:
        self._session = onnxruntime.InferenceSession(engine.graph, providers=["CPUExecutionProvider"])
        self._engine = engine
        self._profile = 0
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}
        self.runs = 0

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        self._profile = profile_index
        return 0 <= profile_index < self._engine.num_optimization_profiles

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        low, _, high = self._engine.profiles[self._profile][name]
        self._shapes[name] = shape
        return all(a <= n <= b for a, n, b in zip(low, shape, high, strict=True))

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        if name in self._shapes:
            return self._shapes[name]
        last = next(o.shape[1] for o in self._session.get_outputs() if o.name == name)
        return (self._shapes["PIXELS"][0], last)

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return name in _INPUTS or name in _OUTPUTS

    def execute_async_v3(self, stream_handle: int) -> bool:
        self.runs += 1
        feed = {name: self._read(name, dtype) for name, dtype in _INPUTS.items()}
        for name, values in zip(_OUTPUTS, self._session.run(list(_OUTPUTS), feed), strict=True):
            ctypes.memmove(self._addresses[name], np.ascontiguousarray(values).ctypes.data, values.nbytes)
        return True

    def _read(self, name: str, dtype: type) -> np.ndarray:
        shape = self._shapes[name]
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return np.frombuffer(ctypes.string_at(self._addresses[name], size), dtype).reshape(shape)
