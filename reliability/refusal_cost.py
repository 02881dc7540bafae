"""Processor time that a refusal takes from the machine under overload: `python -m reliability.refusal_cost`.

The real gateway, one worker, in front of a Triton that takes connections and never answers: one request holds the only
place, so that all others are refused with 503. What counts is the processor time of gunicorn and its worker. Other
checkouts of the project can be measured in the same rounds (`--tree`): a slow minute of the machine meets all of them.
"""

import http.client
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from assets import default_cache_dir
from benchmark.frames import make_face_frames
from benchmark.http_requests import HttpRequests, detect_requests
from benchmark.spread import Spread, ratios
from reliability.front_servers import Front, Starter, ours

_HERE = Path(__file__).resolve().parent.parent
_FRAMES = 20
_CLIENTS = 4
_PER_S = 100.0
"""What one of two workers refuses when ten times as many requests come as the bf16 model does on two cores."""

_TAKEN_S = 1.0
"""Until the body has been read and the place taken."""

_ANSWER_S = 30.0
SETTINGS = {
    "GATEWAY_WORKERS": "1",
    "MAX_IN_FLIGHT": "1",
    "SCORE_CACHE_FRAMES": "0",
    "REQUEST_DEADLINE_S": "3600",
    "TRITON_OUTAGE_WAIT_S": "3600",
}


class RefusalCostError(Exception):
    """A gateway answers with something else than a refusal."""


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
        gateways = {one: stack.enter_context(full(ours, requests, {"PYTHONPATH": str(one)})) for one in trees}
        for number in range(rounds + 1):
            for (kind, one), costs in found.items():
                cost_ms = _cost_ms(gateways[one], requests, refusals, kinds[kind])
                if number:  # the first round warms up
                    costs.append(cost_ms)
    print(f"{'CPU ms per refusal':<22}{'median (range)':<22}{'of the first tree':<22}tree")
    for (kind, one), costs in found.items():
        print(f"{kind:<22}{Spread.of(costs).text():<22}{ratios(costs, found[kind, trees[0]]).text():<22}{one.name}")


def _cost_ms(gateway: Front, requests: HttpRequests, refusals: int, keep: bool) -> float:
    before_s = cpu_s(gateway)
    times_s = ask_in_vain(gateway.port, requests, refusals, keep)
    return (cpu_s(gateway) - before_s) / len(times_s) * 1000


def cpu_s(front: Front) -> float:
    """Processor time so far of all processes of a server."""
    # Finer than /proc has it: the number of a process's clock, as Linux's clock_getcpuclockid(3) makes it.
    return sum(time.clock_gettime(~pid << 3 | 2) for pid in front.pids())


def ask_in_vain(port: int, requests: HttpRequests, count: int, keep: bool) -> list[float]:
    """Sends requests to a full server at the usual rate.

    Args:
        port: Of the server on 127.0.0.1.
        requests: What is sent.
        count: How many.
        keep: Whether each client keeps its connection.

    Returns:
        How long each refusal took, in seconds.

    Raises:
        RefusalCostError: An answer is something else.
    """
    bodies = [requests.body(number) for number in range(len(requests))]
    with ThreadPoolExecutor(_CLIENTS) as pool:
        share = count // _CLIENTS
        clients = [pool.submit(_ask, port, requests, bodies, share, keep) for _ in range(_CLIENTS)]
        return [time_s for client in clients for time_s in client.result()]


def _ask(port: int, requests: HttpRequests, bodies: Sequence[bytes], count: int, keep: bool) -> list[float]:
    times_s = []
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER_S)) as connection:
        began = time.monotonic()
        for number in range(count):
            time.sleep(max(began + number * _CLIENTS / _PER_S - time.monotonic(), 0))
            headers = {"Content-Type": requests.content_type}
            sent = time.monotonic()
            connection.request("POST", requests.path, bodies[number % len(bodies)], headers)
            with connection.getresponse() as answer:
                text = answer.read()
            times_s.append(time.monotonic() - sent)
            if answer.status != 503 or b'"OVERLOADED"' not in text or not answer.headers["Retry-After"]:
                raise RefusalCostError(f"expected a refusal, got {answer.status}: {text!r}")
            if not keep:
                connection.close()
    return times_s


@contextmanager
def full(start: Starter, requests: HttpRequests, settings: Mapping[str, str]) -> Iterator[Front]:
    """A server in front of a Triton that never answers, with its only place taken."""
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        tempfile.TemporaryDirectory(prefix="deepfake-refusal-") as scratch,
    ):
        triton = {"TRITON_URL": f"127.0.0.1:{silent.getsockname()[1]}"}
        with start(Path(scratch), {**SETTINGS, **triton, **settings}) as front, place_taken(front.port, requests):
            yield front


@contextmanager
def place_taken(port: int, requests: HttpRequests) -> Iterator[None]:
    """A request that is being worked on for as long as REQUEST_DEADLINE_S; its client leaves in the end."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER_S)) as holder:
        holder.request("POST", requests.path, requests.body(0), {"Content-Type": requests.content_type})
        time.sleep(_TAKEN_S)
        yield


if __name__ == "__main__":
    typer.run(refusal_cost)
