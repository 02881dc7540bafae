"""A video's own process: the same frames, and an end to whatever it does."""

import gzip
import io
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from deepfake_client.errors import (
    DeadlineExceededError,
    DetectionError,
    MediaDecodeError,
    MediaDecodeTimeoutError,
    MediaTooLargeError,
    OverloadedError,
)
from deepfake_client.media import Frame, identify, open_media
from deepfake_client.scorer import Deadline
from deepfake_client.video.isolated import DecodeLimits, IsolatedDecoder
from deepfake_client.video.sample import sample_video
from deepfake_client.video.sampling import Sampling
from deploy.process import children_of
from tests.media import H264_SHORT_GOP, VideoSpec, write_long_video, write_video
from tests.service import ROOT


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("short") / "short.mp4", VideoSpec(40, options=H264_SHORT_GOP))


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Takes long enough to be caught at it."""
    spec = VideoSpec(100, size=(1280, 720), rate=30, options={"preset": "ultrafast", "g": "100"})
    return write_long_video(tmp_path_factory.mktemp("long") / "long.mp4", spec, repeats=30)


@pytest.fixture
def make() -> Iterator[Callable[..., IsolatedDecoder]]:
    made: list[IsolatedDecoder] = []

    def one(**limits: Any) -> IsolatedDecoder:
        made.append(IsolatedDecoder(DecodeLimits(**limits)))
        return made[-1]

    yield one
    for decoder in made:
        decoder.close()


def sampled(decoder: IsolatedDecoder, media: Path | BinaryIO, **options: Any) -> list[Frame]:
    if isinstance(media, Path):
        with open_media(media) as stream:
            return sampled(decoder, stream, **options)
    return decoder.sample_video(identify(media, "clip"), Sampling(**options))


def in_this_process(path: Path) -> list[Frame]:
    with open_media(path) as stream:
        return sample_video(identify(stream, "clip"))


def wait_for(found: Callable[[], Any]) -> Any:
    give_up = time.monotonic() + 20
    while not (value := found()):
        assert time.monotonic() < give_up
        time.sleep(0.002)
    return value


def helper_of(decoder: IsolatedDecoder) -> int:
    assert decoder._helper is not None
    return decoder._helper._process.pid


def begun(decoder: IsolatedDecoder, media: Path, **options: Any) -> tuple[int, "Future[list[Frame]]"]:
    """The process that decodes, and what will come of it."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(sampled, decoder, media, **options)
    pool.shutdown(wait=False)
    (child,) = wait_for(lambda: decoder._helper and children_of(helper_of(decoder)))
    wait_for(lambda: _limits(child)["Max open files"][0] == "0")
    return child, future


def test_the_frames_are_the_same(make: Callable[..., IsolatedDecoder], short: Path, long: Path) -> None:
    decoder = make()
    for path in (short, long, short):
        assert sampled(decoder, path) == in_this_process(path)


def test_every_kind_of_stream_is_read(make: Callable[..., IsolatedDecoder], short: Path, tmp_path: Path) -> None:
    """One whose file holds something else than the stream gives is copied."""
    decoder, content, expected = make(), short.read_bytes(), in_this_process(short)
    (tmp_path / "clip.gz").write_bytes(gzip.compress(content))
    with (
        gzip.open(tmp_path / "clip.gz") as archived,
        tempfile.SpooledTemporaryFile(max_size=10**9) as spooled,
        tempfile.TemporaryFile() as plain,
    ):
        for stream in (spooled, plain):
            stream.write(content)
        for stream in (io.BytesIO(content), spooled, plain, archived):
            assert sampled(decoder, stream) == expected
            stream.seek(0)
            assert stream.read() == content, "its position must be its own"


def test_refusals_are_those_of_the_decoder(make: Callable[..., IsolatedDecoder], short: Path) -> None:
    decoder = make()
    broken = io.BytesIO(short.read_bytes()[:48] + bytes(1000))
    with pytest.raises(MediaDecodeError, match="clip: cannot be decoded as mp4"):
        sampled(decoder, broken)
    with pytest.raises(MediaTooLargeError, match="hold over 1000 bytes"):
        sampled(decoder, short, max_bytes=1000)


@pytest.mark.parametrize("stopped", ["decoder", "helper"])
def test_what_hangs_is_killed_and_the_next_video_decoded(
    make: Callable[..., IsolatedDecoder], short: Path, long: Path, stopped: str
) -> None:
    decoder = make(time_s=3.0)
    assert sampled(decoder, short)
    child, future = begun(decoder, long)
    os.kill(child if stopped == "decoder" else helper_of(decoder), signal.SIGSTOP)
    if stopped == "helper":
        os.kill(child, signal.SIGSTOP)
    else:  # its neighbours do not wait for it
        for _ in range(3):
            assert sampled(decoder, short) == in_this_process(short)
        assert not future.done()
    started = time.monotonic()
    with pytest.raises(MediaDecodeTimeoutError, match=r"takes longer than 3 s to decode"):
        future.result(20)
    assert time.monotonic() - started < 8
    assert len(sampled(decoder, short)) == 30
    wait_for(lambda: not Path(f"/proc/{child}").exists())


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL])
def test_a_crash_is_the_videos_own(
    make: Callable[..., IsolatedDecoder], short: Path, long: Path, number: signal.Signals
) -> None:
    decoder = make()
    child, future = begun(decoder, long)
    helper = helper_of(decoder)
    os.kill(child, number)
    with pytest.raises(MediaDecodeError, match="the decoder crashed on it"):
        future.result(20)
    assert len(sampled(decoder, short)) == 30
    assert helper_of(decoder) == helper


def test_a_lost_helper_costs_a_second_try(make: Callable[..., IsolatedDecoder], long: Path) -> None:
    decoder = make()
    child, future = begun(decoder, long)
    helper = helper_of(decoder)
    os.kill(helper, signal.SIGKILL)
    assert future.result(30) == in_this_process(long)
    assert helper_of(decoder) != helper
    wait_for(lambda: not Path(f"/proc/{child}").exists())


def test_decoding_that_takes_too_long_is_ended(make: Callable[..., IsolatedDecoder], long: Path) -> None:
    decoder = make(time_s=0.1)
    with pytest.raises(MediaDecodeTimeoutError, match="1080p is enough") as caught:
        sampled(decoder, long)
    assert caught.value.code == "DECODE_TIMEOUT"
    assert "shorter" not in str(caught.value), "a longer one may pass"
    wait_for(lambda: not children_of(helper_of(decoder)))


def test_processor_time_is_limited_even_where_nobody_looks(make: Callable[..., IsolatedDecoder], long: Path) -> None:
    decoder = make(time_s=60)
    child, future = begun(decoder, long)
    soft, hard = (int(part) for part in _limits(child)["Max cpu time"])
    assert 60 <= soft < hard <= 60 * len(os.sched_getaffinity(0)) + 2
    os.kill(child, signal.SIGXCPU)
    with pytest.raises(MediaDecodeTimeoutError):
        future.result(20)


def test_memory_is_limited(make: Callable[..., IsolatedDecoder], short: Path, long: Path) -> None:
    tight, helper = make(memory_bytes=130 * 2**20), None
    for _ in range(2):
        with pytest.raises(MediaTooLargeError, match=r"memory.* lower resolution"):
            sampled(tight, long)
        assert helper in (None, helper_of(tight)), "the helper has no such limit"
        helper = helper_of(tight)
    assert len(sampled(make(), short)) == 30


def test_a_decoder_can_open_nothing(make: Callable[..., IsolatedDecoder], long: Path) -> None:
    decoder = make()
    child, future = begun(decoder, long)
    assert sorted(os.listdir(f"/proc/{child}/fd")) == ["0", "1", "2", "3", "4"]  # noqa: PTH208
    assert future.result(30)


_TAKEN_OVER = """
import os
from deepfake_client.isolation import fork_server
fork_server._keep_only(os.open("/dev/null", os.O_RDONLY), os.open("/dev/null", os.O_WRONLY))
fork_server._limit(2**30, 10)
for number in range(5):
    if number != 1:
        os.close(number)
try:
    print(os.open("/etc/hostname", os.O_RDONLY))
except OSError as error:
    print(error.strerror)
"""


def test_not_even_a_decoder_that_closes_its_own_descriptors() -> None:
    done = subprocess.run([sys.executable, "-c", _TAKEN_OVER], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "Too many open files\n"


def test_the_kernel_ends_a_decoder_before_the_program_it_works_for(
    make: Callable[..., IsolatedDecoder], long: Path
) -> None:
    decoder = make()
    child, future = begun(decoder, long)
    assert Path(f"/proc/{child}/oom_score_adj").read_text() == "1000\n"
    assert Path(f"/proc/{helper_of(decoder)}/oom_score_adj").read_text() != "1000\n"
    assert future.result(30)


def _limits(pid: int) -> dict[str, list[str]]:
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()[1:]
    return {line[:25].strip(): line[25:].split()[:2] for line in lines}


def test_the_deadline_and_its_cancelling_end_it(make: Callable[..., IsolatedDecoder], long: Path) -> None:
    decoder = make()
    sampled(decoder, long, count=1)
    with pytest.raises(DeadlineExceededError):
        sampled(decoder, long, deadline=Deadline(0.05))
    wait_for(lambda: not children_of(helper_of(decoder)))
    deadline = Deadline(60)
    child, future = begun(decoder, long, deadline=deadline)
    os.kill(child, signal.SIGSTOP)
    deadline.cancel()
    with pytest.raises(DeadlineExceededError, match="cancelled"):
        future.result(5)
    wait_for(lambda: not children_of(helper_of(decoder)))


def test_where_no_process_can_be_made_the_service_is_overloaded(
    make: Callable[..., IsolatedDecoder], short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder = make()

    def refuse(*_: Any, **__: Any) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    with monkeypatch.context() as patch:
        patch.setattr("deepfake_client.isolation.tasks.subprocess.Popen", refuse)
        with pytest.raises(OverloadedError):
            sampled(decoder, short)
    assert sampled(decoder, short)


def test_many_at_once(make: Callable[..., IsolatedDecoder], short: Path) -> None:
    decoder, expected = make(), in_this_process(short)
    with ThreadPoolExecutor(8) as pool:
        for frames in pool.map(lambda _: sampled(decoder, short), range(24)):
            assert frames == expected
    assert len({thread.name for thread in threading.enumerate()}) < 20


def test_nothing_is_left_behind(short: Path) -> None:
    open_before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    decoder = IsolatedDecoder()
    assert sampled(decoder, short)
    helper = helper_of(decoder)
    decoder.close()
    assert not Path(f"/proc/{helper}").exists()
    assert len(os.listdir("/proc/self/fd")) == open_before  # noqa: PTH208
    with pytest.raises(DetectionError):
        sampled(decoder, io.BytesIO(b"\0\0\0\x18ftypmp42" + bytes(100)))
    decoder.close()


def test_modules_beside_the_callers_script_are_not_the_decoders(tmp_path: Path) -> None:
    code = "from deepfake_client.isolation import tasks\nprint(tasks._environment()['PYTHONPATH'])\n"
    (tmp_path / "script.py").write_text(code)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "client")}
    command = [sys.executable, "script.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    folders = done.stdout.strip().split(os.pathsep)
    assert str(tmp_path) not in folders
    assert str(ROOT / "client") in folders
