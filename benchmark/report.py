"""results.json becomes RESULTS.md: goals first, then every part's table, then where and how it was measured."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.goals import judge
from benchmark.parts.catalogue import PARTS
from benchmark.parts.drifts import Drifts
from benchmark.parts.growth import Growth
from benchmark.parts.grpc_sweeps import GrpcSweeps
from benchmark.parts.memory import Memory
from benchmark.parts.open_loop import OpenLoops, tail
from benchmark.parts.roofline import Roofline
from benchmark.parts.served_path import ServedPath
from benchmark.parts.side_by_side import SideBySide
from benchmark.parts.single_latency import SingleLatencies
from benchmark.parts.stages import Stages
from benchmark.parts.start_time import StartTime
from benchmark.parts.video_ratio import VideoRates
from benchmark.perf_analyzer import GrpcPoint
from benchmark.results import PartRecord
from benchmark.run import MEASURED, read_figures
from benchmark.spread import Spread

Lines = Iterator[str]


def write_report(records: Mapping[str, PartRecord], path: Path) -> None:
    """Writes the report, and its plots into the folder `plots` beside it."""
    from benchmark.plots import draw_plots

    figures = read_figures(dict(records))
    path.parent.mkdir(parents=True, exist_ok=True)
    plots = draw_plots(figures, path.parent / "plots")
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text("\n".join(document(records, figures, plots)) + "\n", encoding="utf-8")
    partial.replace(path)


def document(records: Mapping[str, PartRecord], figures: Mapping[str, Any], plots: Mapping[str, Path]) -> Lines:
    """The report's lines.

    Args:
        records: Everything results.json holds.
        figures: Dataclasses of the measured parts.
        plots: Part -> its picture.
    """
    yield "# Results of `deepfake-bench run`"
    yield ""
    yield "Medians over rounds, with the smallest and largest; ratios are taken within each round, in which all"
    yield "servers take turns. Every HTTP request carries frames that were not sent before, and the score cache of our"
    yield "services is off. Face detection is on everywhere. Written by `deepfake-bench`: do not edit."
    yield ""
    yield from _goals(figures)
    yield from _not_measured(records, figures)
    for name, part in PARTS.items():
        if name in figures:
            yield f"## {part.title[0].upper()}{part.title[1:]}"
            yield ""
            yield from _SECTIONS[name](figures[name])
            if name in plots:
                yield f"![{part.title}](plots/{plots[name].name})"
                yield ""
    yield from _provenance(records)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Lines:
    """A Markdown table and an empty line."""
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * len(header)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def _goals(figures: Mapping[str, Any]) -> Lines:
    goals = judge(figures)
    words = {True: "met", False: "**not met**", None: "not measured"}
    yield "## Goals"
    yield ""
    yield from table(
        ("figure", "goal", "measured", "", "depends on the processor"),
        [
            (
                goal.what, goal.limit, goal.measured.text(goal.digits) if goal.measured else "-", words[goal.met],
                "yes" if goal.depends_on_machine else "little",
            )
            for goal in goals
        ],
    )  # fmt: skip


def _not_measured(records: Mapping[str, PartRecord], figures: Mapping[str, Any]) -> Lines:
    missing = [(name, record) for name, record in records.items() if record.status != MEASURED]
    missing_rows = [(_title(name), record.status, " ".join(record.reason.split())[:300]) for name, record in missing]
    outdated = [
        name for name, record in records.items() if record.status == MEASURED and name in set(PARTS) - set(figures)
    ]
    missing_rows += [(_title(name), "by another version", "measure it again") for name in outdated]
    missing_rows += [(f"{n}: {part.title}", "not run", "") for n, part in PARTS.items() if n not in records]
    if missing_rows:
        yield "## Not measured"
        yield ""
        yield from table(("part", "", "why"), missing_rows)


def _title(name: str) -> str:
    return f"{name}: {PARTS[name].title}" if name in PARTS else name


def _ratio(part: VideoRates) -> Lines:
    yield f"{part.frames} JPEG frames of 1280 x 720 with a face in one `POST /api/v1/inference`, one client,"
    yield f"{part.requests} requests a round after one to warm up."
    yield ""
    yield from table(
        ("server", "images/s", "over seed b1", "over seed b8"),
        [
            (name, part.rate(name).text(), _text(part.ratio(name)), _text(part.ratio(name, "seed b8")))
            for name in part.rates
        ],
    )


def _latency(part: SingleLatencies) -> Lines:
    yield f"One client, one image at a time, {part.requests} requests a round."
    yield ""
    rows = [
        (name, Spread.of(values).text(0), Spread.of(part.p95_ms[name]).text(0), _text(part.gain(name)))
        for name, values in part.p50_ms.items()
    ]
    yield from table(("server", "p50, ms", "p95, ms", "seed b1's p50 over this"), rows)


def _served(part: ServedPath) -> Lines:
    yield "Two clients with requests of 30 frames through the gateway, against one process that decodes, finds faces"
    yield "and classifies on all cores without any server."
    yield ""
    rows = [(s.server, Spread.of(s.bare).text(), Spread.of(s.served).text(), s.share().text()) for s in part.servers]
    yield from table(("server", "bare, images/s", "served, images/s", "share"), rows)


def _servers(part: SideBySide) -> Lines:
    yield f"LitServe, mosec and ours serve the same {part.precision} release; the seed's is fp32."
    yield "Ours answers at the gateway's `/detect`, the others at `/predict`."
    yield ""
    rows = [
        (s.server, str(s.clients), s.rate().text(), Spread.of(s.p50_ms).text(0), Spread.of(s.p99_ms).text(0))
        for s in sorted(part.servers, key=lambda s: s.clients)
    ]
    yield from table(("server", "clients", "images/s", "p50, ms", "p99, ms"), rows)


def _grpc_row(point: GrpcPoint) -> tuple[str, ...]:
    return (
        f"{point.load:.3g}", f"{point.images_per_s:.1f}", f"{point.mean_ms:.0f}", f"{point.p50_ms:.0f}",
        f"{point.p95_ms:.0f}", f"{point.p99_ms:.0f}", f"{point.network_ms:.1f}", f"{point.delayed_percent:g}%",
        str(point.requests),
    )  # fmt: skip


_GRPC_COLUMNS = ("images/s", "mean, ms", "p50", "p95", "p99", "network", "sent late", "requests")


def _sweeps(part: GrpcSweeps) -> Lines:
    yield f"{part.server}, single images, perf_analyzer; capacity {part.capacity_images_per_s:.1f} images/s. Images/s"
    yield "of closed loops follow from concurrency and mean latency; perf_analyzer itself counts whole seconds."
    yield ""
    yield from table(("concurrency", *_GRPC_COLUMNS), [_grpc_row(point) for point in part.closed])
    yield from table(("Poisson, requests/s", *_GRPC_COLUMNS), [_grpc_row(point) for point in part.poisson])


def _openloop(part: OpenLoops) -> Lines:
    yield f"Arrivals at {part.share_of_capacity:.0%} of the closed-loop rate found just before; perf_analyzer, gRPC."
    yield ""
    rows = []
    for loop in part.servers:
        for name, points in (("constant", loop.constant), ("Poisson", loop.poisson)):
            p50, p99 = (Spread.of([getattr(point, key) for point in points]).text(0) for key in ("p50_ms", "p99_ms"))
            count = str(sum(point.requests for point in points))
            rows.append((loop.server, name, Spread.of(loop.capacity).text(1), p50, p99, tail(points).text(), count))
    yield from table(("server", "arrivals", "capacity, images/s", "p50, ms", "p99, ms", "p99/p50", "requests"), rows)


def _stages(part: Stages) -> Lines:
    if part.steps:
        yield f"{part.server}. Preparing a frame in a process of its own, means:"
        yield ""
        rows = [(step.name, f"{step.wall_ms:.2f}", f"{step.cpu_ms:.2f}") for step in part.steps]
        yield from table(("step", "wall, ms", "CPU, ms"), rows)
    for served in part.served:
        hop = "" if served.hop_ms is None else f"; HTTP, gateway and gRPC take {served.hop_ms:.1f} ms of that"
        yield f"{served.clients} clients of `/detect`: {served.client_ms:.1f} ms a request{hop}. Triton's statistics:"
        yield ""
        model_rows = [
            (m.model, f"{m.total_ms:.1f}", f"{m.queue_ms:.1f}", f"{m.compute_ms:.1f}", f"{m.images_per_execution:.1f}")
            for m in served.models
        ]
        yield from table(("model", "in all, ms", "queue, ms", "compute, ms", "images per execution"), model_rows)


def _roofline(part: Roofline) -> Lines:
    yield f"{part.gflop_per_image:.2f} GFLOP per image, matrix products only. The ceiling is what oneDNN reaches on the"
    yield "model's own shapes with all cores, each at its best batch; the classifier runs without a server."
    yield ""
    rows = [
        (
            roof.precision, roof.ceiling_gflops.text(0), f"{roof.ceiling_gflops.median / part.gflop_per_image:.1f}",
            roof.classifier_images_per_s.text(), str(roof.best_batch), roof.share.text(),
            ", ".join(f"{batch}: {rate:.1f}" for batch, rate in roof.images_per_s.items()),
        )
        for roof in part.precisions
    ]  # fmt: skip
    yield from table(
        ("precision", "ceiling, GFLOP/s", "as images/s", "classifier, images/s", "batch", "share", "images/s by batch"),
        rows,
    )


def _growth(part: Growth) -> Lines:
    yield f"{part.server}. Exponents are fitted by least squares on logarithms: 1 is linear."
    yield ""
    rows = [
        (curve.name, curve.cost, ", ".join(f"{p.size:g}: {p.cost:.1f}" for p in curve.points), f"{curve.exponent:.2f}")
        for curve in part.curves
    ]
    yield from table(("what grows", "cost", "points", "exponent"), rows)


def _memory(part: Memory) -> Lines:
    yield "Peaks (VmHWM); pages that processes share are counted in each, so sums are upper bounds."
    yield ""
    rows = [
        (
            server.server,
            f"{server.sum_mib:.0f}",
            ", ".join(f"{process.name} {process.peak_mib:.0f}" for process in server.processes),
            f"{server.idle_cores:.3f}",
        )
        for server in part.servers
    ]
    yield from table(("server", "sum, MiB", "processes, MiB", "cores used while idle"), rows)


def _start(part: StartTime) -> Lines:
    yield f"{part.server}, export in the cache: first answer {part.first_answer_s.text(1)} s after the command."
    yield f"The classifier alone loads in {part.classifier_load_s:.2f} s. Imports, with `-X importtime`:"
    yield ""
    rows = [
        (i.process, f"{i.total_ms:.0f}", ", ".join(f"{p.package} {p.ms:.0f}" for p in i.packages)) for i in part.imports
    ]
    yield from table(("process", "in all, ms", "slowest packages, ms of their own"), rows)


def _drift(part: Drifts) -> Lines:
    yield "From encoded image to fake probability, against PyTorch fp32 on the same face crops, over the images of"
    yield "`drift_images.json`; `deepfake-bench drift` measures one release and names the worst images."
    yield ""
    rows = [
        (
            d.precision, f"{d.images} ({d.faces} with a face)", f"{d.max_dp:.2g}", f"{d.p95_dp:.2g}",
            f"{d.mean_dp:.2g}", f"{d.max_dlogit:.2g}", str(d.flipped), f"{d.largest_batch_dp:.2g}", f"{d.std_p:.2f}",
        )
        for d in part.precisions
    ]  # fmt: skip
    columns = ("precision", "images", "dp largest", "95%", "mean", "d log-odds", "flipped", "batch dp", "std of p")
    yield from table(columns, rows)


_SECTIONS: dict[str, Callable[[Any], Lines]] = {
    "ratio": _ratio, "latency": _latency, "served": _served, "servers": _servers, "sweeps": _sweeps,
    "openloop": _openloop, "stages": _stages, "roofline": _roofline, "growth": _growth, "memory": _memory,
    "start": _start, "drift": _drift,
}  # fmt: skip


def _provenance(records: Mapping[str, PartRecord]) -> Lines:
    yield "## Where and how"
    yield ""
    yield "Our services ran as `make serve` starts them, but for canaries every 60 s, no score cache, and room for"
    yield "sixteen requests in each gateway worker."
    yield ""
    for machine in dict.fromkeys(_machine_line(record) for record in records.values()):
        yield f"- {machine}"
    yield ""
    rows = [(n, r.measured_at, f"{r.took_s:.0f}", r.machine.commit, f"`{r.command}`") for n, r in records.items()]
    yield from table(("part", "measured", "s", "commit", "command"), rows)


def _machine_line(record: PartRecord) -> str:
    m = record.machine
    versions = ", ".join(f"{name} {version}" for name, version in m.versions.items())
    gpus = f", {', '.join(m.gpus)}" if m.gpus else ", no GPU"
    processor = f"{m.processor}, {m.cores} cores ({', '.join(m.instructions)})"
    return f"{processor}, {m.memory_gib:g} GiB{gpus}, {m.system}; {versions}"


def _text(spread: Spread | None) -> str:
    return spread.text() if spread else "-"
