"""A machine with a GPU, as far as Python sees it: nvidia-smi, the packages tensorrt and cuda-bindings, or CUDA.

"Plans" are ONNX graphs that onnxruntime runs on the CPU, "GPU memory" is memory. It shows how our code calls NVIDIA's,
and nothing about what a GPU computes. The names and signatures are those of tensorrt 10.16.1.11 and 11.4.0.106.
"""

import os
import sys
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

FOLDER = Path(__file__).parent
TENSORRT = "10.16.1.11"
_NVIDIA = ("tensorrt", "cuda", "runtime.tensorrt_classifier", "runtime.gpu_memory")


class CudaSession(onnxruntime.InferenceSession):  # type: ignore[misc]
    """A session of onnxruntime-gpu, as far as its caller sees; the CPU runs it."""

    def __init__(self, graph: str | bytes, sess_options: Any = None, providers: Any = ()) -> None:
        self._asked = [name if isinstance(name, str) else name[0] for name in providers]
        super().__init__(graph, sess_options, providers=["CPUExecutionProvider"])

    def get_providers(self) -> list[str]:
        return self._asked


def use_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives this process an onnxruntime that takes CUDA."""
    monkeypatch.setattr(onnxruntime, "InferenceSession", CudaSession)


def use(monkeypatch: pytest.MonkeyPatch, gpus: str = "NVIDIA L4, 8.9, 580.65.06, [N/A]") -> None:
    """Gives this process such a machine, until the test ends.

    Args:
        gpus: What nvidia-smi lists, a line for each GPU: name, compute capability, driver, MIG mode.
    """
    forget(monkeypatch)
    monkeypatch.syspath_prepend(str(FOLDER))
    for name, value in environment(gpus).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has NVIDIA's packages imported anew, and what they were before put back in the end."""
    for name in [n for n in sys.modules if n in _NVIDIA or n.startswith(("tensorrt.", "cuda."))]:
        monkeypatch.delitem(sys.modules, name)


def environment(gpus: str = "NVIDIA L4, 8.9, 580.65.06, [N/A]") -> dict[str, str]:
    """The same for another process, which also needs this folder on PYTHONPATH."""
    return {"PATH": f"{FOLDER / 'bin'}:{os.environ['PATH']}", "FAKE_GPUS": gpus}
