"""One start of the real Triton, as any deployment makes it: what it is before it is proved, and what others can do."""

import shutil
import stat
import time
from pathlib import Path

import pytest
import tritonclient.grpc
from tritonclient.utils import InferenceServerException

from deepfake_client.scorer import Deadline
from deepfake_client.triton.scorer import TritonScorer
from deploy.triton.addresses import ServerAddresses
from deploy.triton.server import TritonServer
from deploy.triton.shared_memory import SHM, region_prefix
from export.errors import ReleaseError
from export.release import Release, read_release
from runtime.free_ports import free_ports
from tests.integration.conftest import as_tensor
from tests.media import photo


def infer(addresses: ServerAddresses) -> str:
    """Scores a photo with Triton's own client; why not, or ""."""
    with tritonclient.grpc.InferenceServerClient(addresses.grpc_url) as client:
        try:
            tensor = as_tensor(tritonclient.grpc, [photo("coffee.png").read_bytes()])
            client.infer("deepfake_detector", [tensor], client_timeout=10)
        except InferenceServerException as error:
            return f"{error.status()}: {error.message()}"
    return ""


def server_of(release: Release, folder: Path, prefix: str) -> tuple[TritonServer, ServerAddresses]:
    grpc, metrics = free_ports(2)
    addresses = ServerAddresses("127.0.0.1", 0, grpc, metrics)
    return TritonServer(release, addresses, prefix, folder, 5.0, folder / "log"), addresses


@pytest.fixture
def other_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: it has modules with the names of ours."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in ("preprocessing", "runtime", "numpy"):
        (folder / f"{name}.py").write_text("raise ImportError('the wrong one')")
    monkeypatch.chdir(folder)
    return folder


def await_answered(server: TritonServer) -> None:
    deadline = time.monotonic() + 60
    while not server._prober.answered.is_set():
        assert server.child.exit_code is None, server.child.log_tail(40)  # not `failure`, which opens the gate
        assert time.monotonic() < deadline, server.child.log_tail(40)
        time.sleep(0.05)


@pytest.mark.usefixtures("other_folder")
def test_nobody_is_answered_before_it_is_proved_and_no_other_user_reads_uploads(
    tiny_release: Release, tmp_path: Path
) -> None:
    with region_prefix(tmp_path / "run") as prefix:
        server, addresses = server_of(tiny_release, tmp_path / "run", prefix)
        try:
            await_answered(server)  # the supervisor's own requests have succeeded
            refused = infer(addresses)
            assert refused.startswith("StatusCode.UNAVAILABLE: ")
            assert refused.endswith("this server is still being proved")
            assert server.ready
            assert infer(addresses) == ""
            regions = [region for region in SHM.iterdir() if region.name.startswith(prefix)]
            assert {stat.S_IMODE(region.stat().st_mode) for region in regions} == {0o600}
            regions[0].chmod(0o644)  # as the backend makes one
            assert server.failure() == ""
            assert stat.S_IMODE(regions[0].stat().st_mode) == 0o600
            scorer = TritonScorer(addresses.grpc_url)
            name = scorer.server_id(Deadline(5))
            scorer.close()
            assert name.startswith("deepfake-")
            assert f"--id={name}\0" in Path(f"/proc/{server.child.pid}/cmdline").read_text("utf-8")
        finally:
            server.end(10)


def test_files_that_changed_are_not_started(tiny_release: Release, tmp_path: Path) -> None:
    copy = tmp_path / tiny_release.release_id
    shutil.copytree(tiny_release.path, copy)
    release = read_release(copy)
    model = release.repository / "classifier" / "1" / "model.onnx"
    content = bytearray(model.read_bytes())
    content[-8:] = bytes(8)
    model.write_bytes(content)
    with pytest.raises(ReleaseError, match=r"is damaged \(classifier/1/model\.onnx\)"):
        server_of(release, tmp_path / "run", "deepfake_test_none_")
    assert not (tmp_path / "run").exists()
