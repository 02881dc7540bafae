"""How the cost of a request grows with what it asks for: frames, pixels, clients, instances."""

import io
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from benchmark.bench import Bench, Target
from benchmark.fit import Point, fitted_exponent
from benchmark.frame_supply import with_comment
from benchmark.gateway_calls import post_frames, post_image
from benchmark.http_rates import closed_loop

_FRAMES = (1, 2, 4, 8, 15, 30)
_WIDTHS = (320, 640, 1280, 1920, 3840)
_CLIENTS = (1, 2, 4, 8, 16)
_INSTANCES = (1, 2)
_INSTANCE_CLIENTS = 4


@dataclass(frozen=True)
class Curve:
    """Cost against one size.

    Attributes:
        name: What grows.
        size: Unit of the size.
        cost: What the cost is.
        points: Medians.
        exponent: Fitted: 1 is linear, below 1 grows more slowly.
    """

    name: str
    size: str
    cost: str
    points: list[Point]
    exponent: float


@dataclass(frozen=True)
class Growth:
    """The part's figures."""

    server: str
    curves: list[Curve]


def measure(bench: Bench) -> Growth:
    """All curves of the detail precision's service."""
    target = bench.ours(bench.detail)
    curves = []
    if target.video:
        curves.append(_curve(bench, "frames of a request", "frames", "ms", _frames(bench, target)))
    curves.append(_curve(bench, "size of an image", "pixels", "ms", _pixels(bench, target)))
    curves.append(_curve(bench, "concurrent clients", "clients", "mean latency, ms", _clients(bench, target)))
    if not bench.options.remote:
        points = _instances(bench)
        curves.append(_curve(bench, "preprocess instances", "instances", "ms of all cores per image", points))
    return Growth(target.name, curves)


def _curve(bench: Bench, name: str, size: str, cost: str, points: list[Point]) -> Curve:
    curve = Curve(name, size, cost, points, fitted_exponent(points))
    costs = ", ".join(f"{point.size:g}: {point.cost:.1f}" for point in points)
    bench.say(f"{name}: exponent {curve.exponent:.2f} ({costs})")
    return curve


def _frames(bench: Bench, target: Target) -> list[Point]:
    def cost(count: int) -> float:
        files = bench.supply.files(count)
        return _ms(lambda: post_frames(target.url, files, "VIDEO"))

    cost(2)
    repeats = 1 if bench.options.quick else 3
    points = [Point(count, statistics.median(cost(count) for _ in range(repeats))) for count in _FRAMES]
    bench.supply.forget()
    return points


def _pixels(bench: Bench, target: Target) -> list[Point]:
    repeats = 2 if bench.options.quick else 7
    points = []
    for width in _WIDTHS:
        images = [_resized(image, width) for image in bench.supply.encoded(repeats + 1)]
        costs = [_ms(lambda image=image: post_image(target.url, image)) for image in images]  # type: ignore[misc]
        points.append(Point(width * width * 9 // 16, statistics.median(costs[1:])))
    return points


def _clients(bench: Bench, target: Target) -> list[Point]:
    return [Point(clients, closed_loop(bench, target, clients).mean_ms) for clients in _CLIENTS]


def _instances(bench: Bench) -> list[Point]:
    points = []
    for instances in _INSTANCES:
        target = bench.ours(bench.detail, instances)
        points.append(Point(instances, 1e3 / closed_loop(bench, target, _INSTANCE_CLIENTS).images_per_s))
    return points


def _resized(encoded: bytes, width: int) -> bytes:
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(encoded)) as image:
        image.convert("RGB").resize((width, width * 9 // 16)).save(buffer, "JPEG", quality=90)
    return with_comment(buffer.getvalue(), f"{time.time_ns()}")


def _ms(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1e3
