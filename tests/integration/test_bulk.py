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
import pytest

from runtime.free_ports import free_ports
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
    """`deepfake-bulk run` as a process."""

    def __init__(self, cluster: RayCluster, server: str, listing: Path, output: Path, *options: str) -> None:
        self.output = output
        self._log = output.with_suffix(".log")
        command = [sys.executable, "-m", "bulk", "run", str(listing), str(output), "--servers", server,
                   "--ray-address", cluster.address, "--format", "jsonl", *options]  # fmt: skip
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

    def shards(self) -> list[Path]:
        return sorted((self.output / "rows").glob("*.jsonl"))

    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for shard in self.shards() for line in shard.read_bytes().splitlines()]

    def until(self, what: Callable[[], Any]) -> Any:
        """Waits until something is so while the run goes on; returns it."""
        give_up_at = time.monotonic() + TIMEOUT_S
        while not (found := what()):
            assert self.process.poll() is None, self.printed()
            assert time.monotonic() < give_up_at, self.printed()
            time.sleep(0.01)
        return found

    def pid_at_work(self) -> int | None:
        """The process of a worker in the middle of a unit, by the mark that it has made."""
        for mark in (self.output / "_attempts").glob("*/unit-*"):
            try:
                return int(json.loads(mark.read_bytes())["pid"])
            except (OSError, ValueError):
                continue
        return None


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


def test_a_killed_worker_loses_nothing_and_repeats_nothing(
    service: Service, cluster: RayCluster, mixed: Path, tmp_path: Path
) -> None:
    run = Run(cluster, service.grpc, mixed, tmp_path / "out", "--unit-files", "10")
    run.until(lambda: len(run.shards()) >= 3)
    killed = run.until(run.pid_at_work)
    assert killed in cluster.worker_pids()
    os.kill(killed, signal.SIGKILL)
    before = len(run.shards())
    assert before < FILES / 10
    assert run.wait() == 1, run.printed()

    expected = {row["file"]: row for row in detected(service.grpc, mixed)}
    rows = run.rows()
    assert len(rows) == len(expected) == FILES
    assert Counter(row["file"] for row in rows) == Counter(expected.keys())
    assert [row["file"] for row in rows if not same(row, expected[row["file"]])] == []
    assert sum(row["error"] is not None for row in rows) == BROKEN
    manifest = json.loads((run.output / "manifest.json").read_bytes())
    assert (manifest["files"], manifest["scored"], manifest["units"]) == (FILES, FILES - BROKEN, FILES / 10)
    assert sum(manifest["failed"].values()) == BROKEN
    assert list((run.output / "_scratch").glob("*")) == list((run.output / "_attempts").glob("*/*")) == []


def test_a_killed_run_goes_on_where_it_was(cluster: RayCluster, tmp_path: Path) -> None:
    names = [tmp_path / f"{number:03}.jpg" for number in range(120)]
    for number, name in enumerate(names):
        if number % 10 != 3:  # the others are listed and missing
            name.write_bytes(jpeg(f"number {number}"))
    listing = tmp_path / "listing.csv"
    entries = [str(name) for name in names[:100]]
    listing.write_text("\n".join(["path", *entries, *entries[::7], f"file://{entries[5]}"]), "utf-8")
    with inference_server() as server:
        server.behaviour.delay_s = 0.05
        first = Run(cluster, server.url, listing, tmp_path / "out", "--unit-files", "10", "--in-flight", "4")
        first.until(lambda: len(first.shards()) >= 3)
        first.process.kill()
        first.wait()
        finished = {shard: shard.stat().st_mtime_ns for shard in first.shards()}
        assert 3 <= len(finished) < 10
        assert not (first.output / "manifest.json").exists()

        refused = Run(cluster, server.url, listing, tmp_path / "out")
        assert refused.wait() == 2
        assert "continue it with --resume" in refused.printed()

        listing.write_text("\n".join(["path", *map(str, names)]), "utf-8")
        second = Run(cluster, server.url, listing, tmp_path / "out", "--unit-files", "10", "--resume")
        assert second.wait() == 1, second.printed()
    assert "20 of them new in the listing" in second.printed()
    rows = second.rows()
    assert Counter(row["file"] for row in rows) == Counter(map(str, names))
    assert [row["file"] for row in rows if row["error"]] == [str(name) for name in names[3::10]]
    assert {row["error"]["code"] for row in rows if row["error"]} == {"MEDIA_NOT_FOUND"}
    assert {shard: shard.stat().st_mtime_ns for shard in finished} == finished


def test_a_file_that_kills_its_worker_is_set_aside_and_the_others_are_scored(
    cluster: RayCluster, tmp_path: Path
) -> None:
    media = tmp_path / "media"
    media.mkdir()
    for name in ("1.jpg", "2.jpg", "deadly.jpg", "3.jpg"):
        (media / name).write_bytes(jpeg(name))
    with inference_server() as server:
        run = Run(cluster, server.url, media, tmp_path / "out", "--worker-deaths", "1", "--concurrency", "1")
        assert run.wait() == 1, run.printed()
    assert f"set aside, since its worker died each time: {media}/deadly.jpg" in run.printed()
    codes = {Path(row["file"]).name: (row["error"] or {"code": "scored"})["code"] for row in run.rows()}
    assert codes == {"1.jpg": "scored", "2.jpg": "scored", "3.jpg": "scored", "deadly.jpg": "WORKER_LOST"}
    manifest = json.loads((run.output / "manifest.json").read_bytes())
    assert manifest["set_aside"] == [str(media / "deadly.jpg")]


def test_servers_that_are_away_are_waited_for_and_then_given_up(cluster: RayCluster, tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    for number in range(100):
        (media / f"{number:03}.jpg").write_bytes(jpeg(f"number {number}"))
    options = ("--unit-files", "10", "--in-flight", "2", "--give-up-after-s", "6")
    nobody = Run(cluster, f"127.0.0.1:{free_ports(1)[0]}", media, tmp_path / "nothing", *options)
    with inference_server() as server:
        server.behaviour.delay_s = 0.05
        run = Run(cluster, server.url, media, tmp_path / "out", *options)
        run.until(lambda: len(run.shards()) >= 2)
        server.stop()
        time.sleep(2.0)
        server.start()
        back_at = len(run.shards())
        run.until(lambda: len(run.shards()) >= back_at + 2)
        server.stop()
        assert run.wait() == 3, run.printed()
        assert "Nothing could be scored for" in run.printed()
        assert all(row["error"] is None for row in run.rows())
        assert len(run.shards()) < 10

        server.start()
        again = Run(cluster, server.url, media, tmp_path / "out", *options, "--resume")
        assert again.wait() == 0, again.printed()
        assert [row["file"] for row in again.rows()] == sorted(map(str, media.iterdir()))
    assert nobody.wait() == 3
    assert not nobody.output.exists()


def test_an_output_belongs_to_one_run_at_a_time(cluster: RayCluster, tmp_path: Path) -> None:
    script = f"""
from bulk import cluster, errors
cluster._CLAIM_WAIT_S = 1.0
with cluster.connected({cluster.address!r}) as connected:
    with connected.claim("/out"), connected.claim("/other"):
        try:
            with connected.claim("/out"):
                print("both have it")
        except errors.OutputError as error:
            print(error)
    cluster._CLAIM_WAIT_S = 30.0
    with connected.claim("/out"):
        print("free again")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=ray_environment(), capture_output=True, text=True,
        check=False, timeout=TIMEOUT_S,
    )  # fmt: skip
    assert done.stdout == "/out is being written by another run on this cluster\nfree again\n", done.stderr
