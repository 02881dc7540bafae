"""Requests for one image each, sent by Locust, as a closed or an open loop.

    IMAGES=folder SECONDS=10 locust -f benchmark/locustfile.py --headless --host http://127.0.0.1:5000 -u 4

Closed loop (the default): each of the `-u` clients asks again as soon as it was answered. Open loop (`RATE`, with
`-u 1`): requests arrive at that rate whether or not the server keeps up, and a latency counts from the moment at which
the request was due, so that a server that stalls is charged for those who wait in the meantime.

Environment: IMAGES, folder with JPEG files; SECONDS, after which no request is sent; ROUTE, `/detect` unless set; RATE,
arrivals a second; ARRIVALS, `constant` or `poisson` (the default); RESULT, JSON file for the latencies. Every request
carries other bytes.
"""

import itertools
import json
import os
import random
import secrets
import time
from pathlib import Path
from typing import Any

import gevent  # type: ignore[import-untyped]
import gevent.event  # type: ignore[import-untyped]
import gevent.pool  # type: ignore[import-untyped]
from locust import FastHttpUser, events, task
from locust.exception import StopUser

from benchmark.calls import image_body
from benchmark.frames import with_comment

_TIMEOUT_S = 60.0
_MAX_CONNECTIONS = 4096

images = [path.read_bytes() for path in sorted(Path(os.environ["IMAGES"]).glob("*.jpg"))]
route = os.environ.get("ROUTE", "/detect")
rate = float(os.environ.get("RATE", "0"))
poisson = os.environ.get("ARRIVALS", "poisson") == "poisson"
seconds = float(os.environ.get("SECONDS", "inf"))
numbers = itertools.count()
all_there = gevent.event.AsyncResult()
ended: list[Any] = []
records: list[tuple[float, float, int]] = []
"""When each request was due and when it was answered, by the monotonic clock in seconds, and its HTTP status."""


def send(client: Any, due: float) -> None:
    """Sends one image; the answer is recorded."""
    image = with_comment(images[next(numbers) % len(images)], secrets.token_hex(8))
    body, content_type = image_body(route, image)
    response = client.post(route, data=body, headers={"Content-Type": content_type}, allow_redirects=False)
    records.append((due, time.monotonic(), response.status_code))


class Client(FastHttpUser):  # type: ignore[misc]
    """One client of the closed loop, or all arrivals of the open one."""

    network_timeout = connection_timeout = _TIMEOUT_S
    concurrency = _MAX_CONNECTIONS if rate else 1

    @task  # type: ignore[untyped-decorator]
    def ask(self) -> None:
        """Everything that this client does."""
        begun = all_there.get()
        if rate:
            self._send_as_they_arrive(begun)
        while not rate and time.monotonic() - begun < seconds:
            send(self.client, time.monotonic())
        ended.append(self)
        if len(ended) == self.environment.parsed_options.num_users:
            gevent.spawn(self.environment.runner.quit)
        raise StopUser

    def _send_as_they_arrive(self, begun: float) -> None:
        """No arrival waits for an answer; returns when the last one is there."""
        on_their_way = gevent.pool.Group()
        spacing, due = random.Random(0), begun
        for number in itertools.count(1):
            gevent.sleep(max(due - time.monotonic(), 0))
            if due - begun >= seconds:
                break
            on_their_way.spawn(send, self.client, due)
            due = due + spacing.expovariate(rate) if poisson else begun + number / rate
        on_their_way.join()


@events.spawning_complete.add_listener  # type: ignore[untyped-decorator]
def begin(**_: object) -> None:
    """Starts the clock for all clients at the same time."""
    all_there.set(time.monotonic())


@events.quitting.add_listener  # type: ignore[untyped-decorator]
def write_result(**_: object) -> None:
    """Writes the records where RESULT says."""
    if path := os.environ.get("RESULT"):
        Path(path).write_text(json.dumps(records), encoding="utf-8")
