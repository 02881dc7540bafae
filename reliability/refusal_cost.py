"""Processor time that a refusal takes from the machine under overload: `python -m reliability.refusal_cost`.

The real gateway, one worker, in front of a Triton that takes connections and never answers: one request holds the only
place, so that all others are refused with 503. What counts is the processor time of gunicorn and its worker. Other
checkouts of the project can be measured in the same rounds (`--tree`): a slow minute of the machine meets all of them.
"""

import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from assets import default_cache_dir
from benchmark.frames import make_face_frames
from benchmark.http_requests import HttpRequests, detect_requests
from benchmark.spread import Spread, ratios
from deploy.process import children_of

_HERE = Path(__file__).resolve().parent.parent
_FRAMES = 20
_CLIENTS = 4
_PER_S = 100.0
"""What one of two workers refuses when ten times as many requests come as the bf16 model does on two cores."""

_START_S = 30.0
_ANSWER_S = 30.0
_SETTINGS = {
    "GATEWAY_WORKERS": "1",
    "MAX_IN_FLIGHT": "1",
    "SCORE_CACHE_FRAMES": "0",
    "REQUEST_DEADLINE_S": "3600",
    "TRITON_OUTAGE_WAIT_S": "3600",
}


class RefusalCostError(Exception):
    """A gateway does not start, or answers with something else than a refusal."""


@dataclass(frozen=True)
class _Gateway:
    """A gateway whose places are taken.

    Attributes:
        port: On 127.0.0.1.
        pid: Gunicorn's master.
    """

    port: int
    pid: int

    def cpu_s(self) -> float:
        """Processor time so far, of the master and its workers."""
        return sum(_cpu_s(pid) for pid in (self.pid, *children_of(self.pid)))


def refusal_cost(
    tree: Annotated[
        list[Path] | None, typer.Option(help="Another checkout to compare with; may be given more than once.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often.")] = 7,
    refusals: Annotated[int, typer.Option(min=_CLIENTS, help="In each round, of each kind.")] = 400,
) -> None:
    """Measures each tree in turn and prints a table."""
    requests = detect_requests(make_face_frames(default_cache_dir() / "reliability" / "frames", _FRAMES))
    trees = [*(path.resolve() for path in tree or []), _HERE]
    kinds = {"connections kept": True, "a connection each": False}
    found: dict[tuple[str, Path], list[float]] = {(kind, one): [] for kind in kinds for one in trees}
    with ExitStack() as stack:
        gateways = {one: stack.enter_context(_full_gateway(one, requests)) for one in trees}
        for number in range(rounds + 1):
            for (kind, one), costs in found.items():
                cost_ms = _cost_ms(gateways[one], requests, refusals, kinds[kind])
                if number:  # the first round warms up
                    costs.append(cost_ms)
    print(f"{'CPU ms per refusal':<22}{'median (range)':<22}{'of the first tree':<22}tree")
    for (kind, one), costs in found.items():
        print(f"{kind:<22}{Spread.of(costs).text():<22}{ratios(costs, found[kind, trees[0]]).text():<22}{one.name}")


def _cost_ms(gateway: _Gateway, requests: HttpRequests, refusals: int, keep: bool) -> float:
    bodies = [requests.body(number) for number in range(len(requests))]
    before_s = gateway.cpu_s()
    with ThreadPoolExecutor(_CLIENTS) as pool:
        share = refusals // _CLIENTS
        clients = [pool.submit(_ask, gateway.port, requests, bodies, share, keep) for _ in range(_CLIENTS)]
        for client in clients:
            client.result()
    return (gateway.cpu_s() - before_s) / (share * _CLIENTS) * 1000


def _ask(port: int, requests: HttpRequests, bodies: Sequence[bytes], count: int, keep: bool) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER_S)) as connection:
        began = time.monotonic()
        for number in range(count):
            time.sleep(max(began + number * _CLIENTS / _PER_S - time.monotonic(), 0))
            headers = {"Content-Type": requests.content_type}
            connection.request("POST", requests.path, bodies[number % len(bodies)], headers)
            with connection.getresponse() as answer:
                text = answer.read()
            if answer.status != 503 or b'"OVERLOADED"' not in text or not answer.headers["Retry-After"]:
                raise RefusalCostError(f"expected a refusal, got {answer.status}: {text!r}")
            if not keep:
                connection.close()


@contextmanager
def _full_gateway(tree: Path, requests: HttpRequests) -> Iterator[_Gateway]:
    """The gateway of a checkout, whose only place is taken."""
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        tempfile.TemporaryDirectory(prefix="deepfake-refusal-") as scratch,
    ):
        port = _free_port()
        settings = {
            **_SETTINGS,
            "TRITON_URL": f"127.0.0.1:{silent.getsockname()[1]}",
            "PORT": str(port),
            "PYTHONPATH": str(tree),
        }
        log = Path(scratch) / "gateway.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "gateway"], cwd=scratch, env={**os.environ, **settings},
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
        try:
            with _place_taken(process, port, requests, log):
                yield _Gateway(port, process.pid)
        finally:
            process.kill()  # its place is taken for an hour: it would wait for that; the worker ends with it
            process.wait()


@contextmanager
def _place_taken(process: "subprocess.Popen[bytes]", port: int, requests: HttpRequests, log: Path) -> Iterator[None]:
    give_up = time.monotonic() + _START_S
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER_S)) as holder:
        while True:
            try:
                holder.request("POST", requests.path, requests.body(0), {"Content-Type": requests.content_type})
                break
            except ConnectionError as error:
                holder.close()
                if process.poll() is not None or time.monotonic() > give_up:
                    raise RefusalCostError(f"no gateway: {log.read_text('utf-8')[-2000:]}") from error
                time.sleep(0.1)
        time.sleep(1)  # until the body has been read and the place taken
        yield


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def _cpu_s(pid: int) -> float:
    """Finer than /proc has it: the number of a process's clock, as Linux's clock_getcpuclockid(3) makes it."""
    return time.clock_gettime(~pid << 3 | 2)


if __name__ == "__main__":
    typer.run(refusal_cost)
