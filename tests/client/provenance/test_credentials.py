"""Content credentials: what a signed, a changed and a damaged file say, and that nothing is fetched for it."""

import io
import random
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import c2pa
import pytest
from PIL import Image

from deepfake_client.isolation.tasks import IsolatedTasks
from deepfake_client.media import identify
from deepfake_client.provenance import credentials
from deepfake_client.provenance.model import Credentials, Provenance
from deepfake_client.provenance.read import read_provenance
from tests.client.provenance.signing import ISSUER, SIGNER, signed
from tests.media import VideoSpec, write_video

MIMES = {"jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp", "mp4": "video/mp4"}


def read(content: bytes) -> Provenance:
    return read_provenance(identify(io.BytesIO(content), "file"))


def credentials_of(content: bytes) -> Credentials:
    found = read(content).content_credentials
    assert found is not None
    return found


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A file of each format, without credentials."""
    picture = Image.effect_noise((64, 64), 60).convert("RGB")
    made = {"mp4": write_video(tmp_path_factory.mktemp("clips") / "clip.mp4", VideoSpec(5)).read_bytes()}
    for name in ("jpeg", "png", "webp"):
        picture.save(stream := io.BytesIO(), name)
        made[name] = stream.getvalue()
    return made


@pytest.mark.parametrize("name", MIMES)
def test_a_signed_file_is_valid_a_changed_one_is_not_and_one_without_says_nothing(
    files: dict[str, bytes], name: str
) -> None:
    content = signed(files[name], MIMES[name], "trainedAlgorithmicMedia")
    provenance = read(content)
    assert provenance.content_credentials == Credentials(
        state="Valid", not_read=None, signer=SIGNER, issuer=ISSUER, signed_at=None, claim_generator="a test 1",
        actions=("c2pa.created",), digital_source_types=("trainedAlgorithmicMedia",), problems=(),
    )  # fmt: skip
    assert provenance.digital_source_types == ("trainedAlgorithmicMedia",)
    assert provenance.declared_synthetic == ("digital source type trainedAlgorithmicMedia",)

    tampered = bytearray(content)
    tampered[content.index(files[name][-300:-280]) + 5] ^= 1
    changed = credentials_of(bytes(tampered))
    assert changed.state == "Invalid"
    assert changed.problems in (("assertion.dataHash.mismatch",), ("assertion.bmffHash.mismatch",))
    assert changed.signer == SIGNER

    assert read(files[name]).content_credentials is None


def test_a_camera_declares_nothing_synthetic(files: dict[str, bytes]) -> None:
    provenance = read(signed(files["jpeg"], "image/jpeg"))
    assert provenance.digital_source_types == ("digitalCapture",)
    assert provenance.declared_synthetic == ()


@pytest.fixture
def network() -> Iterator[tuple[str, list[str]]]:
    """A server's URL, and the requests that it got."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.path)
            self.send_error(404)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/fetched", seen
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_manifest_that_lies_elsewhere_is_not_fetched(files: dict[str, bytes], network: tuple[str, list[str]]) -> None:
    url, seen = network
    content = signed(files["jpeg"], "image/jpeg", remote_url=url)
    found = credentials_of(content)
    assert found.state is None
    assert "not fetched" in str(found.not_read)
    assert seen == []
    with pytest.raises(c2pa.C2paError):
        c2pa.Reader("image/jpeg", io.BytesIO(content))
    assert seen, "the library itself would have asked for it"


def test_revocation_is_not_asked_for(files: dict[str, bytes], network: tuple[str, list[str]]) -> None:
    url, seen = network
    content = signed(files["jpeg"], "image/jpeg", ocsp_url=url)
    assert credentials_of(content).state == "Valid"
    assert seen == []
    context = c2pa.Context.from_dict({"verify": {"ocsp_fetch": True}})
    c2pa.Reader("image/jpeg", io.BytesIO(content), context=context).close()
    assert seen, "the library itself would have asked for it"


def test_the_process_could_not_connect_even_if_the_library_tried(
    files: dict[str, bytes], network: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url, seen = network
    (tmp_path / "online.py").write_text(
        "from deepfake_client.provenance import credentials_process\n"
        "credentials_process._OFFLINE['verify']['ocsp_fetch'] = True\n"
        "main = credentials_process.main\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    tasks = IsolatedTasks("online", 5.0, 2**30)
    monkeypatch.setattr(credentials, "_process", lambda: tasks)
    found = credentials_of(signed(files["jpeg"], "image/jpeg", ocsp_url=url))
    tasks.close()
    assert "library failed" in str(found.not_read), "it ends where it wants a connection"
    assert seen == []


@pytest.mark.parametrize("name", MIMES)
def test_damaged_manifests_are_told_of_and_harm_nothing(files: dict[str, bytes], name: str) -> None:
    content = signed(files[name], MIMES[name])
    start = content.index(b"jumb") - 4
    size = int.from_bytes(content[start : start + 4], "big")
    chance = random.Random(name)
    damaged = [content[: start + size // 2], content[: start + 40]]
    for value in (b"\xff\xff\xff\xff", b"\0\0\0\1", b"\0\0\0\0", b"\0\0\0\7"):
        inner = content.index(b"jumb", start + 8) - 4
        damaged += [content[:at] + value + content[at + 4 :] for at in (start, inner)]
    for _ in range(8):
        changed = bytearray(content)
        for _ in range(20):
            changed[chance.randrange(start, start + size)] = chance.randrange(256)
        damaged.append(bytes(changed))
    for number, one in enumerate(damaged):
        found = read(one).content_credentials
        states = (None, "Invalid", "Valid") if number >= 2 else (None, "Invalid")  # some bytes are padding
        assert found is None or found.state in states
    assert credentials_of(content).state == "Valid", "the next file is read as ever"


@pytest.mark.parametrize(
    ("time_s", "memory_bytes", "why"), [(0.001, 2**30, "takes longer than"), (5.0, 2**20, "library failed")]
)
def test_what_hangs_or_crashes_costs_the_credentials_only(
    files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, time_s: float, memory_bytes: int, why: str
) -> None:
    tasks = IsolatedTasks("deepfake_client.provenance.credentials_process", time_s, memory_bytes)
    monkeypatch.setattr(credentials, "_process", lambda: tasks)
    found = credentials_of(signed(files["jpeg"], "image/jpeg"))
    tasks.close()
    assert found.state is None
    assert why in str(found.not_read)


def test_without_the_library_a_file_is_said_to_have_credentials(
    files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = signed(files["png"], "image/png")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    found = credentials_of(content)
    assert found.state is None
    assert "deepfake-client[provenance]" in str(found.not_read)


def test_too_large_a_file_is_not_hashed(files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    content = signed(files["png"], "image/png")
    monkeypatch.setattr(credentials, "MAX_BYTES", 1000)
    assert "the limit" in str(credentials_of(content).not_read)
