"""deepfake-bulk on a real Ray: workers and drivers killed, servers gone; each file has exactly one row in the end."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.inference_server import inference_server, jpeg
from tests.media import VideoSpec, encode_image, photo_pixels, write_video
from tests.ray_cluster import RayCluster, ray_cluster, ray_environment
from tests.service import ROOT, Service

FILES, VIDEOS, BROKEN = 200, 3, 20
FORMATS = {".jpg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".bmp": "BMP"}
TIMEOUT_S = 240

pytestmark = pytest.mark.timeout(400)  # a dozen processes of Ray's start for each run


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with ray_cluster() as running:
        yield running


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 files: images of four formats, a few videos, broken ones."""
    root = tmp_path_factory.mktemp("mixed")
    astronaut = photo_pixels("astronaut.png")[::4, ::4]
    for number in range(FILES - VIDEOS - BROKEN):
        suffix = list(FORMATS)[number % len(FORMATS)]
        (root / f"{number:03}{suffix}").write_bytes(encode_image(np.roll(astronaut, number, axis=1), FORMATS[suffix]))
    for number in range(VIDEOS):
        write_video(root / f"{number * 50:03}-clip.mp4", VideoSpec(frames=6))
    broken = [(".jpg", b""), (".png", b"\x89PNG\r\n\x1a\n" + b"\0" * 50), (".bmp", b"text"), (".mkv", b"\x1aE\xdf\xa3")]
    for number in range(BROKEN):
        suffix, content = broken[number % len(broken)]
        (root / f"{number * 9:03}-broken{suffix}").write_bytes(content)
    return root


class Run:
    """`deepfake-bulk` as a process."""

    def __init__(self, cluster: RayCluster, server: str, listing: Path, output: Path, *options: str) -> None:
        self.output = output
        self._log = output.with_suffix(".log")
        command = [sys.executable, "-m", "bulk", str(listing), str(output), "--url", server,
                   "--ray-address", cluster.address, *options]  # fmt: skip
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=ray_environment(), stdout=log, stderr=log)

    def printed(self) -> str:
        return self._log.read_text("utf-8")

    def wait(self) -> int:
        try:
            return self.process.wait(TIMEOUT_S)
        finally:
            self.process.kill()
            self.process.wait()

    def row_files(self) -> list[Path]:
        return sorted((self.output / "rows").glob("*.parquet"))

    def rows(self) -> list[dict[str, Any]]:
        return [row for path in self.row_files() for row in pq.read_table(path, use_threads=False).to_pylist()]

    def codes(self) -> dict[str, str | None]:
        """The error code of each file, by its name without folders; no file has two rows."""
        rows = self.rows()
        found = {Path(row["file"]).name: row["error_code"] for row in rows}
        assert len(found) == len(rows)
        return found

    def manifest(self) -> dict[str, Any]:
        manifest: dict[str, Any] = json.loads((self.output / "manifest.json").read_bytes())
        return manifest

    def until(self, what: Callable[[], Any]) -> Any:
        """Waits until something is so while the run goes on; returns it."""
        give_up_at = time.monotonic() + TIMEOUT_S
        while not (found := what()):
            assert self.process.poll() is None, self.printed()
            assert time.monotonic() < give_up_at, self.printed()
            time.sleep(0.01)
        return found


def detected(server: str, listing: Path) -> list[dict[str, Any]]:
    """The rows of `deepfake-detect`."""
    output = listing.with_name(f"{listing.name}.detected.jsonl")
    command = [sys.executable, "-m", "deepfake_client", "--url", server, "--output", str(output), str(listing)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    assert done.returncode in (0, 1), done.stderr
    return [json.loads(line) for line in output.read_text("utf-8").splitlines()]


def same(one: Any, other: Any) -> bool:
    """Equal but for the times and what batching does to the last digits of scores."""
    if isinstance(one, dict):
        keys = one.keys() - {"processing_time_seconds"}
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in keys)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, abs_tol=0.02)
    return bool(one == other)


def test_a_killed_run_goes_on_where_it_was_and_sets_a_poison_file_aside(cluster: RayCluster, tmp_path: Path) -> None:
    names = [tmp_path / f"{number:03}.jpg" for number in range(60)] + [tmp_path / "deadly.jpg"]
    for number, name in enumerate(names):
        if number % 10 != 3:  # the others are listed and missing
            name.write_bytes(jpeg(f"number {number}"))
    listing = tmp_path / "listing.csv"
    entries = [str(name) for name in names[:50]]
    listing.write_text("\n".join(["path", *entries, *entries[::7], f"file://{entries[5]}"]), "utf-8")
    with inference_server() as server:
        server.behaviour.delay_s = 0.05
        first = Run(cluster, server.url, listing, tmp_path / "out", "--unit-files", "5", "--in-flight", "2")
        first.until(lambda: len(first.row_files()) >= 2)
        first.process.kill()
        first.wait()
        finished = {path: path.stat().st_mtime_ns for path in first.row_files()}
        assert 2 <= len(finished) < 10
        assert not (first.output / "manifest.json").exists()

        refused = Run(cluster, server.url, listing, tmp_path / "out")
        assert refused.wait() == 2
        assert "continue it with --resume" in refused.printed()

        server.behaviour.delay_s = 0.0
        listing.write_text("\n".join(["path", *map(str, names)]), "utf-8")
        second = Run(cluster, server.url, listing, tmp_path / "out", "--unit-files", "5", "--resume")
        assert second.wait() == 1, second.printed()
    codes = second.codes()
    assert codes.keys() == {name.name for name in names}
    assert codes.pop("deadly.jpg") == "WORKER_LOST"
    assert [name for name, code in sorted(codes.items()) if code] == [name.name for name in names[3::10]]
    assert {code for code in codes.values() if code} == {"MEDIA_NOT_FOUND"}
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    manifest = second.manifest()
    assert (manifest["files"], manifest["scored"]) == (61, 54)
    assert manifest["failed"] == {"MEDIA_NOT_FOUND": 6, "WORKER_LOST": 1}
    assert manifest["set_aside"] == [str(names[-1])]


def test_servers_that_are_away_end_the_run_and_it_goes_on_later(cluster: RayCluster, tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    for number in range(20):
        (media / f"{number:03}.jpg").write_bytes(jpeg(f"number {number}"))
    options = ("--unit-files", "5", "--in-flight", "2", "--outage-wait-s", "2")
    with inference_server() as server:
        server.behaviour.delay_s = 0.2
        run = Run(cluster, server.url, media, tmp_path / "out", *options)
        run.until(run.row_files)
        server.stop()
        assert run.wait() == 3, run.printed()
        assert "Nothing could be scored for" in run.printed()
        assert set(run.codes().values()) == {None}
        assert len(run.row_files()) < 4

        server.start()
        server.behaviour.delay_s = 0.0
        again = Run(cluster, server.url, media, tmp_path / "out", *options, "--resume")
        assert again.wait() == 0, again.printed()
    assert again.codes() == {path.name: None for path in media.iterdir()}


@pytest.mark.long
def test_a_killed_worker_loses_nothing_and_repeats_nothing(
    service: Service, cluster: RayCluster, mixed: Path, tmp_path: Path
) -> None:
    run = Run(cluster, service.grpc, mixed, tmp_path / "out", "--unit-files", "10")
    run.until(lambda: len(run.row_files()) >= 3)
    os.kill(run.until(cluster.worker_pids)[0], signal.SIGKILL)
    assert len(run.row_files()) < FILES / 10
    assert run.wait() == 1, run.printed()

    expected = {row["file"]: row for row in detected(service.grpc, mixed)}
    rows = run.rows()
    assert Counter(row["file"] for row in rows) == Counter(expected.keys())
    assert len(rows) == FILES
    for row in rows:
        wanted = expected[row["file"]]
        assert same(row["confidence_score"], wanted["confidence_score"]), row["file"]
        assert same(json.loads(row["metadata"] or "null"), wanted["metadata"]), row["file"]
        assert row["error_code"] == (wanted["error"] or {"code": None})["code"]
    manifest = run.manifest()
    assert (manifest["files"], manifest["scored"]) == (FILES, FILES - BROKEN)
    assert sum(manifest["failed"].values()) == BROKEN


@pytest.mark.long
def test_servers_that_come_back_are_used(cluster: RayCluster, tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    for number in range(100):
        (media / f"{number:03}.jpg").write_bytes(jpeg(f"number {number}"))
    with inference_server() as server:
        server.behaviour.delay_s = 0.05
        run = Run(cluster, server.url, media, tmp_path / "out", "--unit-files", "10", "--outage-wait-s", "20")
        run.until(lambda: len(run.row_files()) >= 2)
        server.stop()
        time.sleep(2.0)
        server.start()
        assert run.wait() == 0, run.printed()
    assert run.codes() == {path.name: None for path in media.iterdir()}
