"""The GPU, driver and TensorRT that an engine was built on: it runs on machines like that alone."""

import ctypes
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Self

from runtime.errors import ClassifierLoadError
from runtime.gpu import the_kind_of_gpu

_LIBRARIES = ("libnvinfer.so.11", "libnvinfer.so.10")
_VERSION_PARTS = ("Major", "Minor", "Patch", "Build")
_PACKAGES = ("tensorrt", "tensorrt-cu13", "tensorrt-cu12")
_REMEDY = "export on this GPU, with the TensorRT that serves here (docs/kubernetes.md)"


def library_tensorrt(load: Callable[[str], Any] = ctypes.CDLL) -> str:
    """Version of the TensorRT library that the system's loader finds, as Triton's backends do; "" if there is none.

    Args:
        load: Opens a shared library by its name.
    """
    for name in _LIBRARIES:
        try:
            library = load(name)
            return ".".join(str(getattr(library, f"getInferLib{part}Version")()) for part in _VERSION_PARTS)
        except (OSError, AttributeError):
            continue
    return ""


def package_tensorrt() -> str:
    """Version of the installed Python package tensorrt; "" if there is none."""
    if importlib.util.find_spec("tensorrt") is None:
        return ""
    for name in _PACKAGES:
        try:
            return version(name).split(".post")[0]
        except PackageNotFoundError:
            continue
    return ""


@dataclass(frozen=True)
class BuiltOn:
    """A GPU, its driver and a TensorRT.

    Attributes:
        gpu: Name of the GPU.
        compute_capability: Of the GPU.
        mig: Profile of the slice of it; "" for a whole one.
        driver: Version of the driver.
        tensorrt: Version of TensorRT.
    """

    gpu: str
    compute_capability: str
    mig: str
    driver: str
    tensorrt: str

    @classmethod
    def here(cls) -> Self:
        """This machine, with the TensorRT that Triton finds here, or else the Python package's.

        Raises:
            ClassifierLoadError: No GPU of one kind is visible, or there is no TensorRT.
        """
        gpu = the_kind_of_gpu()
        tensorrt = library_tensorrt() or package_tensorrt()
        if not tensorrt:
            raise ClassifierLoadError(
                "TensorRT is not installed: run this in NVIDIA's Triton image, or install the extra gpu-tensorrt"
            )
        return cls(gpu.name, gpu.compute_capability, gpu.mig, gpu.driver, tensorrt)

    def check(self, here: "BuiltOn") -> str:
        """Checks that what was built on this machine may run on another one.

        Returns:
            What to warn of; "" for nothing.

        Raises:
            ClassifierLoadError: It may not.
        """
        named = (
            ("GPU", self.gpu, here.gpu),
            ("compute capability", self.compute_capability, here.compute_capability),
            ("MIG profile", self.mig or "none", here.mig or "none"),
            ("TensorRT", self.tensorrt, here.tensorrt),
        )
        for what, built, found in named:
            if built != found:
                raise ClassifierLoadError(
                    f"this release was built for {self.gpu} and TensorRT {self.tensorrt}: the {what} there was "
                    f"{built}, here it is {found}; {_REMEDY}"
                )
        if _numbers(here.driver) < _numbers(self.driver):
            raise ClassifierLoadError(
                f"this release was built with driver {self.driver}, and the one here is older, {here.driver}: "
                f"update it, or {_REMEDY}"
            )
        if here.driver != self.driver:
            return f"this release was built with driver {self.driver}, and {here.driver} runs here: export it again"
        return ""


def _numbers(driver: str) -> tuple[int, ...]:
    return tuple(int(part) for part in driver.split(".") if part.isdigit())
