"""What tritonserver keeps of requests of many sizes: `python -m reliability.server_memory --minutes 3`.

An hour's soak sends few requests of few sizes. This one sends thousands of sizes straight to Triton, and prints the
server's resident memory as they go. MALLOC_MMAP_THRESHOLD_ of the caller is handed on: compare with a high one.
"""

import io
import tempfile
import threading
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image
from tritonclient import grpc

from assets import default_cache_dir
from benchmark.contenders.start import serve_ours
from benchmark.seeded_checkpoint import make_untrained_checkpoint
from deploy.process import children_of

_CLIENTS = 4
_FRAMES = (1, 9)
_PADDING_BYTES = (20_000, 1_500_000)
_LOOK_S = 20.0


def server_memory(minutes: Annotated[float, typer.Option(min=0.1, help="How long.")] = 3.0) -> None:
    """Prints a line every 20 s: requests answered, and the server's resident memory."""
    image = _small_image()
    folder = default_cache_dir() / "reliability"
    source = folder / "tiny"
    if not source.exists():
        make_untrained_checkpoint(source, hidden_size=64, layers=2)
    with tempfile.TemporaryDirectory(prefix="deepfake-memory-") as scratch:
        state = Path(scratch)
        (state / "media").mkdir()
        settings = {"PRECISION": "fp32"}
        with serve_ours(source, folder / "releases-tiny", state / "media", state / "service", settings) as service:
            server = _find_server(service.pid)
            if server is None:
                raise SystemExit("there is no tritonserver among the service's processes")
            stop, answered = threading.Event(), [0] * _CLIENTS
            threads = [
                threading.Thread(target=_load, args=(service.grpc, image, seed, stop, answered))
                for seed in range(_CLIENTS)
            ]
            for thread in threads:
                thread.start()
            began = time.monotonic()
            while (at_s := time.monotonic() - began) < 60 * minutes:
                time.sleep(min(_LOOK_S, 60 * minutes - at_s))
                print(f"{time.monotonic() - began:5.0f} s {sum(answered):6d} requests {_rss_mib(server):6.1f} MiB")
            stop.set()
            for thread in threads:
                thread.join()


def _load(address: str, image: bytes, seed: int, stop: threading.Event, answered: list[int]) -> None:
    """Images with bytes behind their end, which decoders ignore: of any size, and as cheap as a small one."""
    rng, low_high = np.random.default_rng(seed), np.log(_PADDING_BYTES)
    client = grpc.InferenceServerClient(address)
    while not stop.is_set():
        frames = np.empty((rng.integers(*_FRAMES), 1), object)
        frames[:] = image + bytes(int(np.exp(rng.uniform(*low_high))))
        tensor = grpc.InferInput("IMAGE", list(frames.shape), "BYTES")
        tensor.set_data_from_numpy(frames)
        client.infer("deepfake_detector", [tensor])
        answered[seed] += 1


def _small_image() -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG")
    return stream.getvalue()


def _find_server(pid: int) -> int | None:
    if Path(f"/proc/{pid}/exe").resolve().name == "tritonserver":
        return pid
    found = (_find_server(child) for child in children_of(pid))
    return next((child for child in found if child is not None), None)


def _rss_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 2**20


if __name__ == "__main__":
    typer.run(server_memory)
