"""perf_analyzer against one server, with as many requests as a time span holds."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmark.bench import Bench, LeftOutError, Target
from benchmark.perf_analyzer import GrpcPoint, measure, write_input

SHARE_OF_CAPACITY = 0.7
_IMAGES = 60
_OPEN_WINDOWS = 4
"""An open loop's tail needs more requests than a closed loop's mean: this many windows of them."""


@dataclass(frozen=True)
class GrpcLoad:
    """The program, the server and the images to send."""

    program: str
    grpc: str
    data: Path
    window_s: float
    most_requests: int

    @classmethod
    @contextmanager
    def open(cls, bench: Bench, target: Target) -> "Iterator[GrpcLoad]":
        """Writes the images for as long as the block lasts.

        Raises:
            LeftOutError: There is no perf_analyzer, or no gRPC address.
        """
        options = bench.options
        if options.perf_analyzer is None:
            raise LeftOutError("perf_analyzer is not on PATH and PERF_ANALYZER does not name it")
        if not target.grpc:
            raise LeftOutError("no gRPC address was given (--grpc)")
        with TemporaryDirectory(prefix="deepfake-bench-") as scratch:
            data = write_input(bench.supply.encoded(8 if options.quick else _IMAGES), Path(scratch) / "images.json")
            yield cls(options.perf_analyzer, target.grpc, data, options.window_s, options.open_requests)

    def rough_rate(self) -> float:
        """Images a second of a short closed loop, which also warms up."""
        return measure(self.program, self.grpc, self.data, load=4, requests=12).images_per_s

    def closed(self, concurrency: int, rough_rate: float) -> GrpcPoint:
        """A closed loop of about one window."""
        requests = max(round(self.window_s * rough_rate), 3 * concurrency, 10)
        return measure(self.program, self.grpc, self.data, load=concurrency, requests=requests)

    def open_loop(self, arrivals: str, rate: float) -> GrpcPoint:
        """Requests that come whether or not earlier ones are answered."""
        # perf_analyzer takes no fewer requests than it is to send in a second.
        requests = max(min(round(_OPEN_WINDOWS * self.window_s * rate), self.most_requests), math.ceil(rate) + 1, 10)
        return measure(self.program, self.grpc, self.data, load=rate, requests=requests, arrivals=arrivals)
