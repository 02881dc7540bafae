"""Draws the Grafana dashboard without Grafana: every query is asked of a Prometheus and drawn by matplotlib.

`python -m tests.docs.draw_dashboard http://127.0.0.1:9090 dashboard.png [MINUTES]` shows the last minutes, 20 by
default, and prints the queries that have no data.
"""

import itertools
import re
import sys
import time
from datetime import UTC, datetime
from typing import Any

import matplotlib.dates
import matplotlib.pyplot as plt
import requests
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from tests.dashboard import Panel, Query, annotations, panels

STEP_S = 15
_COLUMNS = 24
_UNITS = {"reqps": " req/s", "s": " s", "percentunit": " %", "bytes": " GiB", "watt": " W"}
_FACTORS = {"percentunit": 100.0, "bytes": 2.0**-30}


def main() -> None:
    """Draws it."""
    url, path, minutes = sys.argv[1], sys.argv[2], float(sys.argv[3]) if len(sys.argv) > 3 else 20
    end = time.time()
    period = (end - minutes * 60, end)
    shown = list(panels())
    rows = max(panel.place["y"] + panel.place["h"] for panel in shown)
    figure = plt.figure(figsize=(20, rows * 0.4))
    marks = {name: asked(url, expression, period) for name, expression in annotations().items()}
    for panel in shown:
        x, y, w, h = (panel.place[key] for key in "xywh")
        axes = figure.add_axes((x / _COLUMNS + 0.035, 1 - (y + h - 0.8) / rows, w / _COLUMNS - 0.045, (h - 1.8) / rows))
        axes.set_title(f"{panel.row}: {panel.title}", fontsize=9, loc="left")
        draw(axes, panel, {query: asked(url, query.expression, period) for query in panel.queries}, period)
        for series in marks["Releases"] if panel.kind == "timeseries" else ():
            axes.axvline(times(series)[0], color="tab:blue", linestyle=":")  # type: ignore[arg-type]
    figure.savefig(path, dpi=80)


def asked(url: str, expression: str, period: tuple[float, float]) -> list[dict[str, Any]]:
    """The series that Prometheus answers: `metric` with labels, `values` with times and numbers."""
    parameters = {"query": expression, "start": period[0], "end": period[1], "step": STEP_S}
    answer = requests.get(f"{url}/api/v1/query_range", parameters, timeout=30).json()
    if answer["status"] != "success":
        sys.exit(f"{answer['error']}: {expression}")
    found: list[dict[str, Any]] = answer["data"]["result"]
    return found


def draw(axes: Axes, panel: Panel, answers: dict[Query, list[dict[str, Any]]], period: tuple[float, float]) -> None:
    """One panel; queries without data are printed."""
    for query, series in answers.items():
        if not series:
            print(f"no data: {panel.row}: {panel.title}: {query.expression}")
    lines = [(named(query.legend, one["metric"]), one) for query, series in answers.items() for one in series]
    axes.tick_params(labelsize=7)
    if panel.kind == "stat":
        axes.set_axis_off()
        last = [name or f"{numbers(one, panel.unit)[-1]:.3g}{unit(panel)}" for name, one in lines] or ["none"]
        axes.text(0.5, 0.5, "\n".join(last).replace(", ", "\n"), ha="center", va="center", fontsize=11)
        return
    if panel.kind == "heatmap":
        lines.sort(key=lambda line: float(line[0]))
        counts = [numbers(one, panel.unit) for _, one in lines]
        each = [[b - a for a, b in zip(low, high, strict=True)] for low, high in itertools.pairwise(counts)]
        axes.pcolormesh(times(lines[0][1]), range(len(lines)), [counts[0], *each], cmap="magma")  # type: ignore[arg-type]
        axes.set_yticks(range(len(lines)), [name for name, _ in lines])
    else:
        for name, one in lines:
            axes.plot(times(one), numbers(one, panel.unit), label=name, linewidth=1)  # type: ignore[arg-type]
        if "scaleDistribution" in panel.raw["fieldConfig"]["defaults"].get("custom", {}):
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=0)
    axes.set_xlim(*(datetime.fromtimestamp(at, UTC) for at in period))  # type: ignore[arg-type]
    axes.xaxis.set_major_formatter(matplotlib.dates.DateFormatter("%H:%M"))
    if panel.kind == "timeseries":
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}{unit(panel)}"))
        if lines:
            axes.legend(fontsize=6, loc="upper left")


def named(legend: str, labels: dict[str, str]) -> str:
    """A line's name, as Grafana fills its template."""
    return re.sub(r"{{(\w+)}}", lambda match: labels.get(match[1], ""), legend)


def times(series: dict[str, Any]) -> list[datetime]:
    """When its samples are."""
    return [datetime.fromtimestamp(at, UTC) for at, _ in series["values"]]


def numbers(series: dict[str, Any], unit_id: str) -> list[float]:
    """Its samples in the unit that is drawn."""
    return [float(value) * _FACTORS.get(unit_id, 1) for _, value in series["values"]]


def unit(panel: Panel) -> str:
    """What stands behind a number."""
    return _UNITS.get(panel.unit, panel.unit.removeprefix("suffix:") if panel.unit.startswith("suffix:") else "")


if __name__ == "__main__":
    main()
