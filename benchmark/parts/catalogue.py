"""All parts in the order in which they are measured."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from benchmark.bench import Bench
from benchmark.parts import (
    drifts,
    growth,
    grpc_sweeps,
    memory,
    open_loop,
    roofline,
    served_path,
    side_by_side,
    single_latency,
    stages,
    start_time,
    video_ratio,
)


@dataclass(frozen=True)
class Part:
    """One part.

    Attributes:
        name: For --only and --skip, and in results.json.
        title: For people.
        form: The dataclass of its figures.
        measure: Measures them.
    """

    name: str
    title: str
    form: type
    measure: Callable[[Bench], Any]

    def read(self, figures: Any) -> Any:
        """The figures from their JSON form.

        Raises:
            pydantic.ValidationError: They have another form.
        """
        return TypeAdapter(self.form).validate_python(figures)


PARTS = {
    part.name: part
    for part in (
        Part("ratio", "requests of 30 frames against the seed's service", video_ratio.VideoRates, video_ratio.measure),
        Part("latency", "single images, one at a time", single_latency.SingleLatencies, single_latency.measure),
        Part("served", "the served path against a bare process", served_path.ServedPath, served_path.measure),
        Part(
            "servers",
            "single images: LitServe, mosec, the seed and ours",
            side_by_side.SideBySide,
            side_by_side.measure,
        ),
        Part(
            "sweeps",
            "the ensemble over gRPC: concurrency and Poisson rates",
            grpc_sweeps.GrpcSweeps,
            grpc_sweeps.measure,
        ),
        Part("openloop", "tails at 70% of capacity", open_loop.OpenLoops, open_loop.measure),
        Part("stages", "where the time goes", stages.Stages, stages.measure),
        Part("roofline", "the classifier against the machine's matrix products", roofline.Roofline, roofline.measure),
        Part("growth", "how costs grow", growth.Growth, growth.measure),
        Part("memory", "peak memory of each process", memory.Memory, memory.measure),
        Part("start", "time to the first answer", start_time.StartTime, start_time.measure),
        Part("drift", "drift from PyTorch fp32", drifts.Drifts, drifts.measure),
    )
}
