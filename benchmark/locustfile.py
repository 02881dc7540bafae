"""Requests for one image each, sent by Locust, as a closed or an open loop.

    IMAGES=folder locust -f benchmark/locustfile.py --headless --host http://127.0.0.1:5000 -u 4 --stop-timeout 60

Closed loop (the default): each of the `-u` clients asks again as soon as it was answered. Open loop (`RATE`, with
`-u 1`): requests arrive at that rate whether or not the server keeps up, and a latency counts from the moment at which
the request was due, so that a server that stalls is charged for those who wait in the meantime. `--stop-timeout` is the
time for the last answers.

Environment: IMAGES, folder with JPEG files; SECONDS, after which no request is sent (10); ROUTE, `/detect` unless set;
RATE, arrivals a second; ARRIVALS, `constant` or `poisson` (the default); RESULT, JSON file for the latencies. Every
request carries other bytes.
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
import gevent.pool  # type: ignore[import-untyped]
from locust import FastHttpUser, events, task

from benchmark.frames import image_body, with_comment

_TIMEOUT_S = 60.0
_MAX_CONNECTIONS = 4096

images = [path.read_bytes() for path in sorted(Path(os.environ["IMAGES"]).glob("*.jpg"))]
route = os.environ.get("ROUTE", "/detect")
rate = float(os.environ.get("RATE", "0"))
poisson = os.environ.get("ARRIVALS", "poisson") == "poisson"
seconds = float(os.environ.get("SECONDS", "10"))
numbers = itertools.count()
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
        """One request of the closed loop; all of the open one, of which none waits for an answer."""
        begun = due = time.monotonic()
        if not rate:
            send(self.client, due)
            return
        on_their_way = gevent.pool.Group()
        spacing = random.Random(0)
        for number in itertools.count(1):
            if due - begun >= seconds:
                break
            gevent.sleep(max(due - time.monotonic(), 0))
            on_their_way.spawn(send, self.client, due)
            due = due + spacing.expovariate(rate) if poisson else begun + number / rate
        on_their_way.join()


@events.init.add_listener  # type: ignore[untyped-decorator]
def end_in_time(environment: Any, **_: object) -> None:
    """Locust's own `--run-time` would begin before its clients are there."""
    environment.events.spawning_complete.add_listener(lambda **_: gevent.spawn_later(seconds, environment.runner.quit))


@events.quitting.add_listener  # type: ignore[untyped-decorator]
def write_result(**_: object) -> None:
    """Writes the records where RESULT says."""
    if path := os.environ.get("RESULT"):
        Path(path).write_text(json.dumps(records), encoding="utf-8")
