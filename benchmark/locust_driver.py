"""Sends the requests of a plan with Locust: `python -m benchmark.locust_driver TASK RESULT`, two JSON files.

Only ever a process of its own: Locust replaces the standard library's sockets and threads when it is imported.
"""

import itertools
import json
import sys
import time
from pathlib import Path
from typing import Any

import gevent  # type: ignore[import-untyped]
import gevent.event  # type: ignore[import-untyped]
import gevent.lock  # type: ignore[import-untyped]
import gevent.pool  # type: ignore[import-untyped]
from locust import FastHttpUser, task
from locust.env import Environment
from locust.exception import StopUser

from benchmark.arrivals import arrival_offsets
from benchmark.http_load import LoadPlan
from benchmark.http_requests import HttpRequests

_MAX_CONNECTIONS = 8192
"""Of the open loop. More requests than this on their way wait for a connection, and their latency counts on."""


class Run:
    """One run of a plan: the numbers of its requests, the clock, and what came of each."""

    def __init__(self, plan: LoadPlan, requests: HttpRequests) -> None:
        self.plan = plan
        self.records: list[tuple[float, float, float, str]] = []
        self.sample_answer = ""
        self._requests = requests
        self._numbers = itertools.count()
        self._started = float("inf")
        self._gate = gevent.event.Event()

    def start(self) -> None:
        """Starts the clock."""
        self._started = time.monotonic()
        self._gate.set()

    def ask_until_end(self, client: Any) -> None:
        """The closed loop of one client: the next request as soon as the last was answered."""
        self._gate.wait()
        limit = self.plan.request_count or sys.maxsize
        while (due := time.monotonic()) - self._started < (self.plan.duration_s or float("inf")):
            number = next(self._numbers)
            if number >= limit:
                return
            self._send(client, number, due)

    def send_as_they_arrive(self, client: Any) -> None:
        """The open loop: no arrival waits for an answer. Returns when the last request was answered."""
        self._gate.wait()
        on_their_way = gevent.pool.Group()
        for number, offset in enumerate(arrival_offsets(self.plan)):
            due = self._started + offset
            gevent.sleep(max(due - time.monotonic(), 0))
            on_their_way.spawn(self._send, client, number, due)
        on_their_way.join()

    def _send(self, client: Any, number: int, due: float) -> None:
        try:
            body = self._requests.body(number)
        except OSError as error:
            self.records.append((due, due, time.monotonic(), f"{error.filename}: {error.strerror}"))
            return
        sent = time.monotonic()
        headers = {"Content-Type": self._requests.content_type}
        response = client.post(self._requests.path, data=body, headers=headers, allow_redirects=False)
        done = time.monotonic()
        self.records.append((due, sent, done, _problem(response)))
        if response.status_code == 200 and not self.sample_answer:
            self.sample_answer = response.text


def _problem(response: Any) -> str:
    """Kind of a failure, "" for HTTP 200."""
    if response.status_code == 200:
        return ""
    if response.status_code:
        return f"HTTP {response.status_code}"
    return type(response.error).__name__


def _user_class(run: Run, url: str, open_loop: bool) -> type[Any]:
    class Client(FastHttpUser):  # type: ignore[misc]
        """One client of the closed loop, or the whole open loop."""

        host = url
        network_timeout = run.plan.timeout_s
        connection_timeout = run.plan.timeout_s
        concurrency = _MAX_CONNECTIONS if open_loop else 1

        @task  # type: ignore[untyped-decorator]
        def ask(self) -> None:
            """Everything this client does."""
            try:
                (run.send_as_they_arrive if open_loop else run.ask_until_end)(self.client)
            finally:
                self.environment.ended.release()
            raise StopUser

    return Client


def drive(run: Run, url: str) -> float:
    """Sends all requests; returns the processor seconds it took this process."""
    open_loop = run.plan.rate_per_s is not None
    clients = 1 if open_loop else run.plan.concurrency or 1
    environment = Environment(user_classes=[_user_class(run, url, open_loop)], catch_exceptions=False)
    environment.ended = gevent.lock.Semaphore(0)
    runner = environment.create_local_runner()
    runner.start(clients, spawn_rate=clients)
    while runner.user_count < clients:
        gevent.sleep(0.01)
    cpu = time.process_time()
    run.start()
    for _ in range(clients):
        environment.ended.acquire()
    cpu = time.process_time() - cpu
    runner.quit()
    return cpu


def main() -> None:
    """Reads the task, runs it, writes the result."""
    given = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    run = Run(LoadPlan(**given["plan"]), HttpRequests.from_json(given["requests"]))
    cpu_s = drive(run, given["url"])
    result = {
        "records": run.records,
        "unix_offset": time.time() - time.monotonic(),
        "cpu_s": cpu_s,
        "sample_answer": run.sample_answer,
    }
    Path(sys.argv[2]).write_text(json.dumps(result), "utf-8")


if __name__ == "__main__":
    main()
