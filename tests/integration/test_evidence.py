"""deepfake-detect --report over a real Triton: what is in the report, and that it repeats."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deepfake_client.batch.cli import app
from preprocessing import PREPROCESSING_VERSION
from tests.client.clips import CLIPS
from tests.media import write_video
from tests.service import Service


def test_a_real_video_through_a_real_triton(service: Service, tmp_path: Path) -> None:
    clip = write_video(tmp_path / "h264.mov", CLIPS["h264.mov"])
    documents = []
    for number in range(2):
        paths = [tmp_path / f"{number}.json", tmp_path / f"{number}.html"]
        reports = [part for path in paths for part in ("--report", str(path))]
        result = CliRunner().invoke(app, [str(clip), "--url", service.grpc, "--timeout-s", "120", *reports])
        assert result.exit_code == 0, result.stderr
        documents.append(json.loads(paths[0].read_text("utf-8")))
        assert "<svg" in paths[1].read_text("utf-8")
    first, second = documents
    assert first["input"]["duration_s"] == pytest.approx(149 / 25)
    assert (first["input"]["width_px"], first["input"]["height_px"]) == (320, 240)
    codes = [finding["code"] for finding in first["findings"]]
    assert codes[0] == "UNTRAINED_MODEL"
    assert "LOW_RESOLUTION" in codes
    assert first["model"]["preprocessing_version"] == PREPROCESSING_VERSION
    assert first["model"]["preprocess"]["crop_factor"] == 1.3
    assert len(first["model"]["checkpoint_sha256"]) == 64
    assert len([frame for frame in first["frames"] if frame["faces"]]) > 15
    assert any(person["crop"] for person in first["people"])
    del first["run"], second["run"]
    assert rounded(first) == rounded(second)
    pages = [re.sub(r'<div id="run">.*?</div>', "", (tmp_path / f"{n}.html").read_text(), flags=re.S) for n in (0, 1)]
    assert pages[0] == pages[1]


def rounded(value: Any) -> Any:
    """Without the decimals that move with how the service batches frames."""
    if isinstance(value, dict):
        return {name: rounded(part) for name, part in value.items()}
    if isinstance(value, list):
        return [rounded(part) for part in value]
    return round(value, 4) if isinstance(value, float) else value
