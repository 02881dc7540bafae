"""The Grafana dashboard as data: its panels, row by row, and the queries that Grafana would send for them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from tests.service import ROOT

PATH = ROOT / "deploy" / "monitoring" / "grafana" / "dashboard.json"


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        row: Title of the row that it stands in.
        kind: `stat`, `timeseries` or `heatmap`.
        title: As shown.
        description: What it shows, what is normal, what to do.
        unit: Grafana's id of the values' unit.
        place: `x`, `y`, `w`, `h` in cells of a grid that is 24 wide.
        queries: In PromQL, with the variables set to their defaults; at least one.
        raw: The panel as Grafana reads it.
    """

    row: str
    kind: str
    title: str
    description: str
    unit: str
    place: dict[str, int]
    queries: tuple[str, ...]
    raw: dict[str, Any]


def read() -> dict[str, Any]:
    """The whole file."""
    return TypeAdapter(dict[str, Any]).validate_json(PATH.read_bytes())


def panels() -> Iterator[Panel]:
    """All panels but the rows themselves, from top to bottom. A collapsed row holds its panels in itself."""
    row = ""
    for entry in read()["panels"]:
        if entry["type"] == "row":
            row = entry["title"]
        for raw in entry["panels"] if entry["type"] == "row" else [entry]:
            queries = tuple(filled(one["expr"]) for one in raw["targets"])
            unit = raw["fieldConfig"]["defaults"].get("unit", "")
            description = raw.get("description", "")
            yield Panel(row, raw["type"], raw["title"], description, unit, raw["gridPos"], queries, raw)


def annotations() -> dict[str, str]:
    """Queries of the marks on the charts, by name."""
    return {one["name"]: filled(one["expr"]) for one in read()["annotations"]["list"]}


def filled(query: str) -> str:
    """The query as Grafana would send it, with every server chosen."""
    return query.replace("$gateway", ".*").replace("$triton", ".*").replace("$__rate_interval", "1m")
