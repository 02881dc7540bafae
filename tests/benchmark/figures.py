"""Hand-built figures of every part, as a run on some machine might have measured them."""

from typing import Any

from benchmark.fit import Point
from benchmark.machine import Machine
from benchmark.parts.drifts import Drifts, PrecisionDrift
from benchmark.parts.growth import Curve, Growth
from benchmark.parts.grpc_sweeps import GrpcSweeps
from benchmark.parts.memory import Memory, ProcessPeak, ServerMemory
from benchmark.parts.open_loop import OpenLoop, OpenLoops
from benchmark.parts.preprocess_alone import Step
from benchmark.parts.roofline import PrecisionRoof, Roofline
from benchmark.parts.served_path import Served, ServedPath
from benchmark.parts.side_by_side import ServerRates, SideBySide
from benchmark.parts.single_latency import SingleLatencies
from benchmark.parts.stages import ServedStages, Stages
from benchmark.parts.start_time import PackageTime, ProcessImports, StartTime
from benchmark.parts.video_ratio import VideoRates
from benchmark.perf_analyzer import GrpcPoint
from benchmark.results import PartRecord
from benchmark.spread import Spread
from benchmark.triton_statistics import ModelShare

MACHINE = Machine("Some Xeon", 2, 23.5, ("avx2", "amx_bf16"), (), "Linux 6", {"python": "3.11.7"}, "abcdef123456")


def grpc_point(load: float, arrivals: str, p50_ms: float = 50.0, p99_ms: float = 100.0) -> GrpcPoint:
    return GrpcPoint(load, arrivals, 100, load, 60.0, p50_ms, 90.0, p99_ms, 2.0, 0.0)


def roof(precision: str, share: float) -> PrecisionRoof:
    alone = Spread(5.0, 4.5, 5.5, 2)
    return PrecisionRoof(
        precision, Spread(200, 190, 210, 2), alone, 8, {"8": 5.0}, Spread(share, share, share, 2), alone
    )


FIGURES: dict[str, Any] = {
    "ratio": VideoRates(
        30,
        2,
        {
            "seed b1": [4.0, 2.0, 4.0],
            "seed b8": [5.0, 2.5, 5.0],
            "ours fp32": [5.6, 2.8, 4.0],
            "ours bf16": [10, 5, 10],
        },
    ),
    "latency": SingleLatencies(
        15,
        {"seed b1": [300.0], "ours fp32": [310.0], "ours bf16": [150.0]},
        {"seed b1": [1.0], "ours fp32": [1.0], "ours bf16": [1.0]},
    ),
    "served": ServedPath([Served("ours fp32", [5.0, 5.0], [4.9, 4.8]), Served("ours bf16", [10.0], [8.0])]),
    "servers": SideBySide("bf16", [ServerRates("mosec", 4, [8.0], [400.0], [600.0])]),
    "sweeps": GrpcSweeps("ours bf16", 11.0, [grpc_point(4, "closed")], [grpc_point(5, "poisson")]),
    "openloop": OpenLoops(
        0.7,
        [OpenLoop("ours bf16", [10.0], [grpc_point(7, "constant")], [grpc_point(7, "poisson", 50, 300)])],
    ),
    "stages": Stages(
        "ours bf16",
        [Step("decode", 3.2, 3.1)],
        [ServedStages(1, 120.0, [ModelShare("classifier", 40, 1.0, 90.0, 1.0, 89.0)], 12.0)],
    ),
    "roofline": Roofline(34.94, [roof("fp32", 0.9), roof("bf16", 0.8)]),
    "growth": Growth(
        "ours bf16",
        [
            Curve("frames of a request", "frames", "ms", [Point(1, 100), Point(30, 2900)], 0.99),
            Curve("size of an image", "pixels", "ms", [Point(1e5, 100), Point(1e7, 20000)], 1.15),
        ],
    ),
    "memory": Memory(
        [ServerMemory("ours bf16", [ProcessPeak("tritonserver", 300.0), ProcessPeak("gunicorn", 60.0)], 0.01)]
    ),
    "start": StartTime(
        "ours bf16", Spread(6, 5, 7, 3), 1.2, [ProcessImports("gateway", 300.0, [PackageTime("flask", 100.0)])]
    ),
    "drift": Drifts([PrecisionDrift("bf16", 96, 60, 0.005, 0.001, 0.003, 0.1, 0, 0.3, 0.0001)]),
}


def record(figures: Any, status: str = "measured", reason: str = "") -> PartRecord:
    return PartRecord(status, reason, 12.3, "2026-11-22T10:00:00+00:00", "deepfake-bench run", MACHINE, figures)
