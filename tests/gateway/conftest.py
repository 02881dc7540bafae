from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from deepfake_client import ClientSettings, create_detector
from gateway import GatewaySettings, create_app
from tests.inference_server import InferenceServer, inference_server, jpeg


@pytest.fixture
def server() -> Iterator[InferenceServer]:
    with inference_server() as running:
        yield running


@pytest.fixture
def media_root(tmp_path: Path) -> Path:
    root = tmp_path / "media"
    root.mkdir()
    return root


class Gateway:
    """A gateway under test: makes the application again when a test changes its settings."""

    def __init__(self, server: InferenceServer, media_root: Path) -> None:
        self.server = server
        self.media_root = media_root
        self._options: dict[str, Any] = {"media_root": media_root, "triton_url": server.url}
        self._detectors: list[Any] = []
        self.configure()

    def configure(self, **options: Any) -> "Gateway":
        settings = GatewaySettings(**{**self._options, **options})
        detector = create_detector(settings.triton_url, ClientSettings(attempts=2))
        self._detectors.append(detector)
        self.app = create_app(settings, detector)
        self.http: FlaskClient = self.app.test_client()
        return self

    def close(self) -> None:
        for detector in self._detectors:
            detector.close()

    def write(self, name: str, says: str | bytes) -> str:
        """A frame below the media root; returns the path to list."""
        path = self.media_root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(says if isinstance(says, bytes) else jpeg(says))
        return name

    def frames(self, probabilities: list[float]) -> list[str]:
        return [self.write(f"{index:05}.jpg", f"p={p}") for index, p in enumerate(probabilities)]

    def infer(self, body: Any = None, **keys: Any) -> Any:
        return self.http.post("/api/v1/inference", json=keys if body is None else body)


@pytest.fixture
def gateway(server: InferenceServer, media_root: Path) -> Iterator[Gateway]:
    made = Gateway(server, media_root)
    yield made
    made.close()
