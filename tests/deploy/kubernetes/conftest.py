"""What every test here looks at: each thing that people apply, and the states that a rollout goes through."""

from pathlib import Path

import pytest

from tests.deploy.kubernetes.rendered import Manifest, overlays, render, with_comments_taken

ROLLOUT = ("triton/green", "canary", "{ name: triton-release-green")
COMPONENTS = ("components/object-storage", "components/ingress")


@pytest.fixture(scope="session")
def applied(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders for `kubectl apply -k`, by name."""
    rollout = with_comments_taken(tmp_path_factory.mktemp("rollout"), *ROLLOUT)
    stored = with_comments_taken(tmp_path_factory.mktemp("stored"), *ROLLOUT, *COMPONENTS)
    export = stored / "export" / "kustomization.yaml"
    export.write_text(f"{export.read_text('utf-8')}components: [../../../components/object-storage]\n", "utf-8")
    return {
        **overlays(),
        "gpu, rollout": rollout,
        "gpu, rollout, object storage": stored,
        "gpu/export, object storage": export.parent,
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
    """The overlay `gpu` with both colours, a canary, object storage and an Ingress: all that there is at once."""
    return render(applied["gpu, rollout, object storage"])
