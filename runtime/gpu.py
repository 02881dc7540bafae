"""The GPUs, driver and TensorRT of this machine, and whether what was built on another one may run here.

The driver's own program tells the GPUs: no CUDA library is needed to ask.
"""

import ctypes
import importlib.util
import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Self

from runtime.errors import ClassifierLoadError

_PROGRAM = "nvidia-smi"
_TIMEOUT_S = 30.0
_FIELDS = "name,compute_cap,driver_version,mig.mode.current"
_MIG_PROFILE = re.compile(r"^\s+MIG (\S+)\s+Device", re.MULTILINE)

_LIBRARIES = ("libnvinfer.so.11", "libnvinfer.so.10")
_VERSION_PARTS = ("Major", "Minor", "Patch", "Build")
_PACKAGES = ("tensorrt", "tensorrt-cu13", "tensorrt-cu12")
_MIN_DRIVER = (580,)
"""For CUDA 13, as in NVIDIA's image. Its libraries for older drivers are set up by its entry point alone, which we
leave out: it writes to a file system that is read-only here."""

_REMEDY = "export on this GPU, with the TensorRT that serves here (docs/kubernetes.md)"


@dataclass(frozen=True)
class Gpu:
    """A kind of GPU, and the driver that runs it.

    Attributes:
        name: As NVIDIA calls it, such as `NVIDIA L4`.
        compute_capability: Such as `8.9`.
        driver: Version of the driver, such as `580.65.06`.
        mig: Profile of the slice, such as `1g.10gb`; "" for a whole GPU.
    """

    name: str
    compute_capability: str
    driver: str
    mig: str = ""

    def __str__(self) -> str:
        """For messages."""
        sliced = f", MIG {self.mig}" if self.mig else ""
        return f"{self.name} (compute capability {self.compute_capability}{sliced}, driver {self.driver})"


def visible_gpus() -> tuple[Gpu, ...]:
    """Every GPU or slice of one that this process may see.

    Raises:
        ClassifierLoadError: There is none, or no driver.
    """
    if os.environ.get("CUDA_VISIBLE_DEVICES", "all") in ("", "-1"):
        raise ClassifierLoadError("no GPU is visible: CUDA_VISIBLE_DEVICES hides all of them")
    rows = _run(f"--query-gpu={_FIELDS}", "--format=csv,noheader").splitlines()
    found = [[field.strip() for field in row.split(",")] for row in rows if row.strip()]
    if not found or any(len(fields) != 4 for fields in found):
        raise ClassifierLoadError(f"no GPU is visible: {_PROGRAM} lists none")
    slices = _MIG_PROFILE.findall(_run("-L")) if any(fields[3] == "Enabled" for fields in found) else []
    whole = [Gpu(*fields[:3]) for fields in found if fields[3] != "Enabled"]
    name, capability, driver, _mode = next((f for f in found if f[3] == "Enabled"), found[0])
    gpus = (*whole, *(Gpu(name, capability, driver, mig) for mig in slices))
    if not gpus:
        raise ClassifierLoadError("no GPU is visible: MIG is on, and no slice is given to this process")
    return gpus


def the_kind_of_gpu() -> Gpu:
    """The one kind of GPU that is visible here.

    Raises:
        ClassifierLoadError: There is none, or there are several kinds, and it is unclear which one is meant.
    """
    kinds = set(visible_gpus())
    if len(kinds) > 1:
        names = "; ".join(sorted(str(gpu) for gpu in kinds))
        raise ClassifierLoadError(
            f"several kinds of GPU are visible ({names}): what is built for one does not run on the others; "
            "give this process GPUs of one kind (docker run --gpus device=...)"
        )
    return kinds.pop()


def _run(*arguments: str) -> str:
    try:
        done = subprocess.run([_PROGRAM, *arguments], capture_output=True, text=True, check=False, timeout=_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ClassifierLoadError(
            f"no GPU is visible: {_PROGRAM} cannot be run ({error}); install NVIDIA's driver, and in a container use "
            "--gpus all"
        ) from error
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip().splitlines()
        raise ClassifierLoadError(f"no GPU is visible: {_PROGRAM} says {said[0] if said else done.returncode}")
    return done.stdout


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

    def check(self, here: "BuiltOn") -> list[str]:
        """Checks that what was built on this machine may run on another one.

        Returns:
            What to warn of, one line each.

        Raises:
            ClassifierLoadError: It may not.
        """
        check_driver(here.driver)
        needed = (
            ("compute capability", self.compute_capability, here.compute_capability),
            ("TensorRT", self.tensorrt, here.tensorrt),
        )
        for what, built, found in needed:
            if built != found:
                raise ClassifierLoadError(
                    f"this release was built for {self.gpu} and TensorRT {self.tensorrt}: the {what} there was "
                    f"{built}, here it is {found}; {_REMEDY}"
                )
        told = (
            ("GPU", self.gpu, here.gpu),
            ("MIG profile", self.mig or "none", here.mig or "none"),
            ("driver", self.driver, here.driver),
        )
        return [
            f"this release was built and judged with the {what} {built}, and {found} runs here: it may be slower, and "
            "its scores may differ in the last digits"
            for what, built, found in told
            if built != found
        ]


def check_driver(driver: str) -> None:
    """Refuses a driver that is too old for the CUDA of NVIDIA's image, which would fail with a number.

    Raises:
        ClassifierLoadError: With what to do.
    """
    if _numbers(driver) < _MIN_DRIVER:
        raise ClassifierLoadError(
            f"NVIDIA's driver {driver} is too old: CUDA 13 needs {_MIN_DRIVER[0]} or newer; update the driver of this "
            "machine, or of the cluster's GPU nodes"
        )


def _numbers(driver: str) -> tuple[int, ...]:
    return tuple(int(part) for part in driver.split(".") if part.isdigit())
