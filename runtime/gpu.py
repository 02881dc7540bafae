"""Which GPUs this machine has, as the driver's own program tells it: no CUDA library is needed to ask."""

import os
import re
import subprocess
from dataclasses import dataclass

from runtime.errors import ClassifierLoadError

_PROGRAM = "nvidia-smi"
_TIMEOUT_S = 30.0
_FIELDS = "name,compute_cap,driver_version,mig.mode.current"
_MIG_PROFILE = re.compile(r"^\s+MIG (\S+)\s+Device", re.MULTILINE)


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
