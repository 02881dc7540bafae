"""`deepfake-bench plan`: what N videos a day need. The model is in `benchmark.capacity`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from benchmark.capacity import Demand, Need, Node, Plan, PlanError, Policy, make_plan
from benchmark.machine import Machine
from benchmark.results import ResultsError, ResultsFile
from benchmark.spread import Spread

HELP = """How many instances, nodes and GPUs a number of videos a day needs, and what they cost.

The rate of one instance comes from a results file of `deepfake-bench run` (its part `ratio`: the whole path, 30 frames
a request), or from --frames-per-second. There is no figure of a GPU in this project's own results: measure yours with
`deepfake-bench run --gateway URL --media-root DIR --only ratio --results gpu.json --report gpu.md` and plan with
`--results gpu.json`, or give the rate.

Exit codes: 0 planned, 1 it cannot be planned (the message says why), 2 usage.
"""

_RESULTS = Path(__file__).with_name("results.json")
_PART = "ratio"
_DEPLOYMENT = "ours"
"""What `deepfake-bench run --gateway` calls what it measures: whoever started that knows its precision."""
_FORM = 1

_NOT_COVERED = (
    "decoding uploaded videos (the rate is of frames sent as images), storage, traffic, and whatever else runs on the "
    "nodes"
)


def plan(
    videos_per_day: Annotated[float, typer.Option(help="Mean over the days planned for.")],
    frames: Annotated[float, typer.Option(help="Scored of each video; 1 for images.")] = Demand.frames_per_video,
    peak_to_mean: Annotated[
        float, typer.Option(help="Arrivals in the busiest hour over the mean hour's; take it from your own traffic.")
    ] = Demand.peak_to_mean,
    frames_per_second: Annotated[
        list[float] | None,
        typer.Option(help="Of one instance, measured; give it once for each round of the measurement."),
    ] = None,
    results: Annotated[Path, typer.Option(help="Results of `deepfake-bench run`, where no rate is given.")] = _RESULTS,
    precision: Annotated[
        str, typer.Option(help="Whose rate is taken from them; not asked of a running deployment's.")
    ] = "int8",
    utilisation: Annotated[float, typer.Option(help="Most of an instance's rate to plan with.")] = Policy.utilisation,
    p95_wait_s: Annotated[
        float, typer.Option(help="Most that 95 of 100 videos wait before their work begins, in seconds.")
    ] = Policy.p95_wait_s,
    service_cv: Annotated[
        float, typer.Option(help="Standard deviation of the work of a video over its mean.")
    ] = Policy.service_cv,
    spare: Annotated[int, typer.Option(help="Nodes that may be away while the promise holds (N + spare).")] = (
        Policy.spare
    ),
    instances_per_node: Annotated[int, typer.Option(help="Instances on one node.")] = Node.instances,
    gpus_per_node: Annotated[int, typer.Option(help="GPUs of one node.")] = Node.gpus,
    node_price: Annotated[float | None, typer.Option(help="Of a node's hour, in any currency.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
) -> None:
    """Plans and prints."""
    try:
        demand = Demand(videos_per_day, frames, peak_to_mean)
        policy = Policy(utilisation, p95_wait_s, service_cv, spare)
        node = Node(instances_per_node, gpus_per_node, node_price)
        rate, source = _given(frames_per_second) if frames_per_second else _measured(results, precision, node)
        made = make_plan(rate, demand, policy, node)
    except (PlanError, ResultsError) as error:
        typer.echo(f"deepfake-bench plan: {error}", err=True)
        raise typer.Exit(1) from error
    if as_json:
        document = {
            "form": _FORM,
            "rate": {"frames_per_s": asdict(rate), "source": source},
            "demand": {
                **asdict(demand),
                "peak_videos_per_s": demand.peak_videos_per_s,
                "peak_frames_per_s": demand.peak_frames_per_s,
            },
            "policy": asdict(policy),
            "node": asdict(node),
            "plan": asdict(made),
            "not_covered": _NOT_COVERED,
        }
        typer.echo(json.dumps(document, indent=1))
    else:
        _print(made, demand, policy, rate, source)


def _given(rates: list[float]) -> tuple[Spread, str]:
    return Spread.of(rates), "given on the command line"


def _measured(results: Path, precision: str, node: Node) -> tuple[Spread, str]:
    """The rate of one instance in a results file, and where it comes from.

    Raises:
        PlanError: There is none, or it is of another kind of machine.
        ResultsError: The file cannot be read.
    """
    record = ResultsFile(results).read().get(_PART)
    if record is None or record.status != "measured":
        raise PlanError(
            f"{results} has no measured rate: run `deepfake-bench run --only {_PART}`, or give --frames-per-second"
        )
    rates = _rates(record.figures, results)
    if _DEPLOYMENT in rates:  # the file's machine is the one that asked, which says nothing about the GPUs behind it
        return Spread.of(rates[_DEPLOYMENT]), f"a running deployment, {record.measured_at}"
    server = f"ours {precision}"
    if server not in rates:
        there = ", ".join(name.removeprefix("ours ") for name in rates if name.startswith("ours "))
        raise PlanError(f"{results} has no rate of the precision {precision}, only of {there or 'none'}")
    if node.gpus and not record.machine.gpus:
        raise PlanError(
            f"the nodes have GPUs, but {results} was measured without one: measure yours (--help says how), or give "
            "--frames-per-second"
        )
    return Spread.of(rates[server]), f"{server}, {record.measured_at}, {_machine(record.machine)}"


def _rates(figures: Any, results: Path) -> dict[str, list[float]]:
    try:
        return {str(name): [float(value) for value in values] for name, values in figures["rates"].items() if values}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PlanError(f"{results} has no readable rates in its part {_PART}: {error}") from error


def _machine(machine: Machine) -> str:
    gpus = f", {', '.join(machine.gpus)}" if machine.gpus else ", no GPU"
    return f"{machine.processor}, {machine.cores} cores{gpus}"


def _print(made: Plan, demand: Demand, policy: Policy, rate: Spread, source: str) -> None:
    console = Console(width=120, highlight=False, soft_wrap=True)
    console.print(
        f"{demand.videos_per_day:,.0f} videos a day of {demand.frames_per_video:g} frames, peak {demand.peak_to_mean:g}"
        f" times the mean: {demand.peak_videos_per_s:.2f} videos/s, {demand.peak_frames_per_s:.1f} frames/s at the peak"
    )
    console.print(f"one instance: {rate.text(1)} frames/s ({source})")
    console.print(
        f"bounds: utilisation {policy.utilisation:.0%}, p95 wait {policy.p95_wait_s:g} s, "
        f"with as many nodes away: {policy.spare}\n"
    )
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("")
    needs = [made.slowest] if rate.rounds == 1 else [made.slowest, made.median, made.fastest]
    names = ["one measurement"] if rate.rounds == 1 else ["slowest round", "median", "fastest round"]
    for name in names:
        table.add_column(name, justify="right")
    for title, values in _rows(needs, policy):
        table.add_row(title, *values)
    console.print(table)
    console.print(f"{_interval(rate)}\nNot in it: {_NOT_COVERED}.")


def _rows(needs: list[Need], policy: Policy) -> list[tuple[str, list[str]]]:
    def row(title: str, form: str, name: str, factor: float = 1.0) -> tuple[str, list[str]]:
        return title, [form.format(getattr(need, name) * factor) for need in needs]

    rows = [
        row("frames/s of an instance", "{:.1f}", "frames_per_s"),
        row("instances that keep the bounds", "{:,.0f}", "least_instances"),
        row(f"nodes ({policy.spare} of them spare)", "{:,.0f}", "nodes"),
        row("instances on them", "{:,.0f}", "instances"),
        row("GPUs", "{:,.0f}", "gpus"),
        row("utilisation at the peak, spare nodes away", "{:.0f}%", "utilisation", 100),
        row("utilisation over the day, all there", "{:.0f}%", "mean_utilisation", 100),
        row("work of a video, s", "{:.2f}", "service_s"),
        row("mean wait before it at the peak, s", "{:.2f}", "mean_wait_s"),
        row("p95 wait, s", "{:.2f}", "p95_wait_s"),
    ]
    if needs[0].cost_per_day is not None:
        rows += [row("cost a day", "{:,.2f}", "cost_per_day"), row("cost a month", "{:,.2f}", "cost_per_month")]
    return rows


def _interval(rate: Spread) -> str:
    """What the columns mean. n rounds enclose the median of all possible ones with probability 1 - 2^(1 - n)."""
    if rate.rounds == 1:
        return "One measurement, so nobody knows how far it is off: measure several rounds."
    sure = 1 - 2.0 ** (1 - rate.rounds)
    return (
        f"Plan with the slowest round. {rate.rounds} rounds: the true median lies between the outer columns with a "
        f"probability of {sure:.0%}."
    )
