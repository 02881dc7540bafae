"""The Prometheus rules and the Grafana dashboard, by Prometheus's own tools."""

import re
import subprocess
from pathlib import Path

import yaml

from tests import dashboard
from tests.docs.documents import anchors
from tests.prometheus import MONITORING, program
from tests.service import ROOT


def promtool(*arguments: str) -> str:
    done = subprocess.run([program("promtool"), *arguments], cwd=MONITORING, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def alerts() -> dict[str, dict[str, object]]:
    groups = yaml.safe_load((MONITORING / "alerts.yml").read_text("utf-8"))["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


def test_the_configuration_and_its_rules_are_valid() -> None:
    assert "SUCCESS" in promtool("check", "config", "prometheus.yml")


def test_each_alert_fires_on_what_it_is_for() -> None:
    assert "SUCCESS" in promtool("test", "rules", "alerts_test.yml")
    tests = yaml.safe_load((MONITORING / "alerts_test.yml").read_text("utf-8"))["tests"]
    cases = [case for test in tests for case in test.get("alert_rule_test", [])]
    assert {case["alertname"] for case in cases if case.get("exp_alerts")} == set(alerts())
    assert {case["alertname"] for case in cases if not case.get("exp_alerts")} == set(alerts())


def test_each_alert_says_what_is_wrong_and_what_to_do() -> None:
    for name, rule in alerts().items():
        annotations = rule["annotations"]
        assert isinstance(annotations, dict)
        assert set(annotations) == {"summary", "description", "runbook"}, name
        assert annotations["description"].count(". ") >= 1, "what is wrong, and a step"
        assert annotations["runbook"] == f"docs/operations.md#{name.lower()}"
        assert rule["labels"] in ({"severity": "critical"}, {"severity": "warning"})


def test_the_documents_that_alerts_and_panels_name_exist() -> None:
    texts = [str(rule["annotations"]) for rule in alerts().values()]
    texts += [panel.description for panel in dashboard.panels()]
    named = re.findall(r"(docs/\w+\.md)(?:#([\w-]+))?", " ".join(texts))
    assert len(named) > 20
    for document, anchor in named:
        assert not anchor or anchor in anchors(ROOT / document), f"{document}#{anchor}"
    sections = re.findall(r"^### (\w+)$", (ROOT / "docs" / "operations.md").read_text("utf-8"), re.MULTILINE)
    assert set(sections) == set(alerts())


def test_the_operations_guide_names_panels_that_there_are() -> None:
    titles = {panel.title for panel in dashboard.panels()}
    guide = (ROOT / "docs" / "operations.md").read_text("utf-8")
    assert set(re.findall(r"(?<!\*)\*([A-Z][^*\n]+)\*(?!\*)", guide)) <= titles


def test_each_panel_says_what_is_normal_and_what_to_do() -> None:
    for panel in dashboard.panels():
        assert panel.row, panel.title
        assert "Normal: " in panel.description, panel.title
        assert panel.unit, panel.title


def test_the_dashboard_s_queries_are_valid(tmp_path: Path) -> None:
    expressions = [query for panel in dashboard.panels() for query in panel.queries]
    expressions += dashboard.annotations().values()
    assert len(expressions) > 40
    rules = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(expressions)]
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    promtool("check", "rules", str(tmp_path / "panels.yml"))


def test_a_new_release_is_marked_and_a_restart_is_not(tmp_path: Path) -> None:
    name, rest = "deepfake_gateway_build_info", 'model="m",precision="fp32",version="1"'
    old, new = (f'{{{rest},release_id="{release}"}}' for release in ("old", "new"))
    away_for_a_minute = "1x59 _x4 1x36"
    tests = [{
        "interval": "15s",
        "input_series": [
            {"series": f'{name}{old[:-1]},instance="a"}}', "values": f"{away_for_a_minute} _x100"},
            {"series": f'{name}{new[:-1]},instance="a"}}', "values": "_x100 1x100"},
        ],
        "promql_expr_test": [
            {"expr": dashboard.annotations()["Releases"], "eval_time": at, "exp_samples": marks}
            for at, marks in (
                ("14m", []),
                ("16m", []),
                ("20m", []),
                ("26m", [{"labels": new, "value": 1}]),
                ("40m", []),
            )
        ],
    }]  # fmt: skip
    (tmp_path / "releases.yml").write_text(yaml.safe_dump({"evaluation_interval": "15s", "tests": tests}))
    promtool("test", "rules", str(tmp_path / "releases.yml"))


def test_the_dashboard_can_be_imported_and_provisioned() -> None:
    whole = dashboard.read()
    assert whole["id"] is None
    # A variable, not an input: those are asked for at an import only, and a provisioned dashboard would have none.
    assert "__inputs" not in whole
    first, *servers = whole["templating"]["list"]
    assert (first["name"], first["type"], first["query"]) == ("DS_PROMETHEUS", "datasource", "prometheus")
    assert [variable["name"] for variable in servers] == ["gateway", "triton"]
    panels = list(dashboard.panels())
    ids = [panel.raw["id"] for panel in panels] + [row["id"] for row in whole["panels"] if row["type"] == "row"]
    assert len(set(ids)) == len(ids)
    assert {panel.kind for panel in panels} <= {entry["id"] for entry in whole["__requires"]}
    covered: set[tuple[int, int]] = set()
    for place, title in [(panel.place, panel.title) for panel in panels] + [
        (row["gridPos"], row["title"]) for row in whole["panels"] if row["type"] == "row"
    ]:
        assert place["x"] + place["w"] <= 24
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}  # fmt: skip
        assert not cells & covered, title
        covered |= cells
    for panel in panels:
        assert panel.title
        assert panel.raw["datasource"] == {"type": "prometheus", "uid": "${DS_PROMETHEUS}"}
