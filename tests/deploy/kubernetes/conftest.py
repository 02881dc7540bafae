"""What every test here looks at: each thing that people apply, and the states that a rollout goes through."""

from pathlib import Path

import pytest

from tests.deploy.kubernetes.rendered import KUBERNETES, Manifest, foundation, in_state, overlays, render

COMPONENTS = (
    "ingress", "monitoring", "tracing", "media", "workload-identity-eks", "many-cores", "gpu-autoscaling",
    "preprocess-pool",
)  # fmt: skip


@pytest.fixture(scope="session")
def applied(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders for `kubectl apply -k`, by name."""
    states = sorted(folder.name for folder in (KUBERNETES / "states").iterdir())
    return {
        **overlays(),
        **{f"gpu, {state}": in_state(tmp_path_factory.mktemp(state), state) for state in states},
        "gpu, all at once": in_state(tmp_path_factory.mktemp("all"), "canary", *COMPONENTS, pools=("blue", "green")),
        "gpu, with a pool": in_state(tmp_path_factory.mktemp("pool"), "blue", "preprocess-pool", pools=("blue",)),
        "gpu, on GKE": in_state(tmp_path_factory.mktemp("gke"), "blue", "workload-identity-gke"),
    }


@pytest.fixture(scope="session")
def services(applied: dict[str, Path]) -> dict[str, Path]:
    """Those of them that serve."""
    return {name: folder for name, folder in applied.items() if "export" not in name}


@pytest.fixture
def gpu(applied: dict[str, Path]) -> list[Manifest]:
    """The overlay `gpu`."""
    return render(applied["gpu"])


@pytest.fixture
def rollout(applied: dict[str, Path]) -> list[Manifest]:
    """The overlay `gpu` with both colours, a canary and most components, upon the foundation: all there is at once."""
    return [*foundation(), *render(applied["gpu, all at once"])]
