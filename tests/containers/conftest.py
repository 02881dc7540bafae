"""The engine, the images and what the compose file mounts."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from deploy.model import embedded_checkpoint
from runtime.free_ports import free_ports
from tests.containers.engine import Engine, EngineError, find_engine
from tests.deploy.test_compose import default_of
from tests.media import photo
from tests.service import ROOT

SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]


@pytest.fixture(scope="session")
def engine() -> Engine:
    """Without one the tests are skipped, unless CONTAINER_ENGINE asks for one, as `make test-containers` does."""
    asked = os.environ.get("CONTAINER_ENGINE")
    try:
        return find_engine(asked or "auto")
    except EngineError as error:
        if asked:
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is mounted, readable for the containers' users."""
    folder = tmp_path_factory.mktemp("mounted")
    for name in ("media", "secrets", "secrets-triton", "secrets-nginx"):
        (folder / name).mkdir()
    for i in range(3):
        shutil.copy(photo("astronaut.png"), folder / "media" / f"astronaut-{i}.png")
    checkpoint = embedded_checkpoint()
    shutil.copytree(checkpoint, folder / "checkpoints" / checkpoint.name)
    for path in (folder, *folder.parents[:2], *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


@pytest.fixture(scope="module")
def services(engine: Engine, folder: Path) -> Iterator[Engine]:
    """Every service of the compose file, without Grafana where its image cannot be had."""
    for service in SERVICES.values():
        if "build" in service:
            engine.build(service["build"]["dockerfile"], default_of(service["image"]))
    port, grafana_port = free_ports(2)
    engine.settings |= {
        "CHECKPOINT": f"/checkpoints/{embedded_checkpoint().name}",
        "CHECKPOINTS_DIR": str(folder / "checkpoints"),
        "MEDIA_DIR": str(folder / "media"),
        "SECRETS_DIR": str(folder / "secrets"),
        "TRITON_SECRETS_DIR": str(folder / "secrets-triton"),
        "NGINX_SECRETS_DIR": str(folder / "secrets-nginx"),
        "PORT": str(port),
        "GRAFANA_PORT": str(grafana_port),
        "INSTANCES": "2",
    }
    missing = [name for name, one in SERVICES.items() if "build" not in one and not engine.available(one["image"])]
    assert set(missing) <= {"grafana"}, f"no image for {missing}; with podman see podman_images.sh"
    engine.compose("down", "--volumes")
    try:
        engine.start(missing)
        yield engine
    finally:
        print("\n".join(f"--- {name}\n{engine.logs(name)}" for name in ("triton", "gateway", "nginx")))
        engine.compose("down", "--volumes")


@pytest.fixture
def has_grafana(services: Engine) -> None:
    """Skips where Grafana's image cannot be had."""
    if not services.available(SERVICES["grafana"]["image"]):
        pytest.skip("Grafana's image is not here and cannot be pulled")
