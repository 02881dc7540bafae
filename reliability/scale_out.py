"""Several Tritons behind the client's load balancing: `python -m reliability.scale_out`.

Real servers on this machine, first asked by the client library, then through the gateway. In each: two servers share
the load; one is killed (SIGKILL) under it; a third is started and told to the clients by nothing but a changed DNS
answer (or a changed file, where this user may make no mount namespace), and takes its share. The servers share the
machine's cores, so this shows how requests are spread and what is lost, not how much faster more servers are.

Exit code 0: every bound held; 1: one did not.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import requests
import typer
from deepfake_client import create_detector

from assets import SAMPLE_PHOTOS, default_cache_dir, fetch_assets
from export.checkpoint.hub import locate_checkpoint
from export.release import Release, read_release
from export.run import export_checkpoint
from export.settings import ExportSettings
from reliability.fleet import Directory, Fleet, FleetServer, enter_namespace, run_fleet
from reliability.score_load import ScoreLoad
from runtime.free_ports import free_ports
from tests.seeded_checkpoint import make_untrained_checkpoint

SHARE_BOUND = 0.25
"""How far a server's share may lie from the even one, as a part of it. A slower server rightly gets fewer requests."""

USED_BOUND_S = 10.0
"""From the changed DNS answer to the first request that the new server has answered."""

_TOLERANCE = 1e-6
_TIMEOUT_S = 40.0
_START_S = 60.0
_PHASE_LIMIT_S = 240.0

Ask = Callable[[], float]


@dataclass(frozen=True)
class Spread:
    """How a number of requests was spread.

    Attributes:
        answered: By server, from Triton's own statistics.
    """

    answered: dict[str, int]

    @property
    def unevenness(self) -> float:
        """Largest distance of a share from the even one, as a part of it: 0 is even, 1 a server with nothing."""
        even = sum(self.answered.values()) / len(self.answered)
        return max(abs(count - even) for count in self.answered.values()) / even if even else 1.0


@dataclass(frozen=True)
class Scaled:
    """What one way to the servers did.

    Attributes:
        front: `client` or `gateway`.
        discovery: `dns` or `file`.
        requests: All that were sent.
        failed: The reasons of those that failed in spite of retries.
        wrong_scores: Answers that differ from the image's score by more than 1e-6.
        before: Two servers.
        gap_after_kill_s: Longest time without an answer after one of them was killed.
        slowest_after_kill_s: The longest request since.
        used_after_s: From the changed answer of the resolver until the third server had answered; None: never.
        after: The one that was left and the third.
    """

    front: str
    discovery: str
    requests: int
    failed: list[str]
    wrong_scores: int
    before: Spread
    gap_after_kill_s: float
    slowest_after_kill_s: float
    used_after_s: float | None
    after: Spread

    def broken_bounds(self, share_bound: float) -> list[str]:
        """What is not as it should be."""
        return [
            text
            for text, broken in (
                (f"{len(self.failed)} requests failed", bool(self.failed)),
                (f"{self.wrong_scores} scores are wrong", self.wrong_scores > 0),
                (f"shares of two servers are {self.before.unevenness:.0%} off", self.before.unevenness > share_bound),
                ("the added server is not used in time", (self.used_after_s or 1e9) > USED_BOUND_S),
                (f"shares with it are {self.after.unevenness:.0%} off", self.after.unevenness > share_bound),
            )
            if broken
        ]


def scale_out(
    release: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Release to serve; default: a tiny seeded model.")
    ] = None,
    count: Annotated[int, typer.Option("--requests", min=40, help="Of each measured spread.")] = 600,
    threads: Annotated[int, typer.Option(min=2, max=10, help="Requests at a time.")] = 6,
    share_bound: Annotated[
        float, typer.Option(min=0, help="How far a share may lie from the even one, as a part of it.")
    ] = SHARE_BOUND,
    only: Annotated[str, typer.Option(help="client or gateway; both by default.")] = "",
    output: Annotated[Path | None, typer.Option(help="Write the figures here as JSON.")] = None,
) -> None:
    """Spreads, kills, adds; prints what came of it."""
    fronts = {name: connect for name, connect in _FRONTS.items() if only in ("", name)}
    if not fronts:
        raise typer.BadParameter(f"--only takes {' or '.join(_FRONTS)}")
    with tempfile.TemporaryDirectory(prefix="deepfake-scale-") as scratch:
        folder = Path(scratch)
        enter_namespace("reliability.scale_out", sys.argv[1:], folder)
        served = read_release(release) if release else _tiny_release()
        image = fetch_assets(SAMPLE_PHOTOS)["astronaut.png"].read_bytes()
        results = []
        for front, connect in fronts.items():
            state = folder / front
            state.mkdir()
            with run_fleet(served, state) as fleet:
                results.append(_measure(front, connect, fleet, state, image, count, threads))
            print(_line(results[-1]), flush=True)
    if output:
        partial = output.with_name(f".{output.name}.{os.getpid()}")
        partial.write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n", "utf-8")
        partial.replace(output)
    if broken := [f"{result.front}: {text}" for result in results for text in result.broken_bounds(share_bound)]:
        print("\n".join(broken), file=sys.stderr)
        raise typer.Exit(1)


def _measure(
    front: str,
    connect: Callable[[str, Path, bytes], Iterator[Ask]],
    fleet: Fleet,
    folder: Path,
    image: bytes,
    count: int,
    threads: int,
) -> Scaled:
    first, second = fleet.start("first"), fleet.start("second")
    first.await_ready()
    second.await_ready()
    directory = Directory(fleet.grpc_port, folder)
    directory.list([first, second])
    with ExitStack() as stack:
        ask = stack.enter_context(contextmanager(connect)(directory.url, folder, image))
        expected = ask()
        load = stack.enter_context(ScoreLoad(ask, threads))
        before = _spread(load, [first, second], count)
        second.kill()
        killed = time.monotonic()
        load.await_more(count // 2, _PHASE_LIMIT_S)
        third = fleet.start("third")
        third.await_ready()
        used_after_s = _add(directory, [first, third], third)
        after = _spread(load, [first, third], count)
    scores = [outcome.score for outcome in load.outcomes if outcome.score is not None]
    return Scaled(
        front=front,
        discovery="dns" if directory.is_dns else "file",
        requests=len(load.outcomes),
        failed=[outcome.error for outcome in load.outcomes if outcome.error],
        wrong_scores=sum(abs(score - expected) > _TOLERANCE for score in scores),
        before=before,
        gap_after_kill_s=load.longest_gap_s(killed),
        slowest_after_kill_s=max((outcome.took_s for outcome in load.outcomes if outcome.at_s > killed), default=0.0),
        used_after_s=used_after_s,
        after=after,
    )


def _spread(load: ScoreLoad, servers: Sequence[FleetServer], count: int) -> Spread:
    """Who answered how many of the next requests, once each server has had some to warm up."""
    load.await_more(count // 4, _PHASE_LIMIT_S)
    start = {server.name: server.answered() for server in servers}
    load.await_more(count, _PHASE_LIMIT_S)
    return Spread({server.name: server.answered() - start[server.name] for server in servers})


def _add(directory: Directory, servers: Sequence[FleetServer], added: FleetServer) -> float | None:
    """How long it takes until the added server has answered a request; None if that is never."""
    start, began = added.answered(), time.monotonic()
    directory.list(servers)
    while time.monotonic() < began + 3 * USED_BOUND_S:
        if added.answered() > start:
            return time.monotonic() - began
        time.sleep(0.1)
    return None


def _client(url: str, _folder: Path, image: bytes) -> Iterator[Ask]:
    """One detector with its defaults, shared by the threads."""
    with create_detector(url) as detector:
        yield lambda: detector.detect(image, timeout_s=_TIMEOUT_S).confidence_score


def _gateway(url: str, folder: Path, image: bytes) -> Iterator[Ask]:
    """A gateway of two workers, which remembers no scores."""
    (folder / "media").mkdir()
    log = folder / "gateway.log"
    port = free_ports(1)[0]
    settings = {"TRITON_URL": url, "PORT": str(port), "MEDIA_ROOT": str(folder / "media"), "SCORE_CACHE_FRAMES": "0"}
    with log.open("wb") as printed:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway"], env={**os.environ, **settings}, stdout=printed, stderr=printed
        )

    def ask() -> float:
        answer = requests.post(f"http://127.0.0.1:{port}/detect", files={"file": image}, timeout=_TIMEOUT_S)
        answer.raise_for_status()
        return float(answer.json()["confidence_score"])

    try:
        _await_answer(ask, process, log)
        yield ask
    finally:
        process.terminate()
        try:
            process.wait(_START_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


_FRONTS = {"client": _client, "gateway": _gateway}


def _await_answer(ask: Ask, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            ask()
            return
        except requests.RequestException as error:
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"scale_out: the gateway does not answer ({error}):\n{log.read_text('utf-8', 'replace')}")
            time.sleep(0.2)


def _tiny_release() -> Release:
    folder = default_cache_dir() / "reliability"
    source = folder / "tiny"
    if not source.exists():
        make_untrained_checkpoint(source, hidden_size=64, layers=2)
    return export_checkpoint(locate_checkpoint(str(source)), ExportSettings(folder / "releases-tiny", parity_images=8))


def _line(result: Scaled) -> str:
    used = "never" if result.used_after_s is None else f"after {result.used_after_s:.1f} s"
    return (
        f"{result.front:<8} ({result.discovery}) {result.requests} requests, {len(result.failed)} failed, "
        f"{result.wrong_scores} wrong; two servers {_shares(result.before)}; one killed: longest gap "
        f"{result.gap_after_kill_s:.2f} s, slowest request {result.slowest_after_kill_s:.2f} s; added one used {used}, "
        f"then {_shares(result.after)}"
    )


def _shares(spread: Spread) -> str:
    total = sum(spread.answered.values()) or 1
    return " : ".join(f"{100 * count / total:.0f}%" for count in spread.answered.values())


if __name__ == "__main__":
    typer.run(scale_out)
