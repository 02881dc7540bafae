"""What `deepfake-bulk` says before a cluster is asked for."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from bulk.cli import app
from tests.inference_server import jpeg


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("media", "rows", "--url", "127.0.0.1:9"), 3, "Connection refused. Is `make serve` running?"),
        (("media", "rows", "--servers", "127.0.0.1:9"), 3, "--servers is called --url now"),
        (("media", "rows", "--url", "nonsense"), 2, "'nonsense' lacks a port"),
        (("none", "rows"), 2, "none"),
        (("empty", "rows"), 2, "empty names no image or video"),
    ],
)
def test_mistakes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "media").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "media" / "a.jpg").write_bytes(jpeg("p=0.9"))
    result = CliRunner().invoke(app, arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert message in result.stderr
    assert not (tmp_path / "rows").exists()
