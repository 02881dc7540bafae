"""The Prometheus rules and the Grafana dashboard, by Prometheus's own tools."""

import json
import re
import subprocess
from pathlib import Path

import yaml

from tests.prometheus import program
from tests.service import ROOT

MONITORING = ROOT / "deploy" / "monitoring"
DASHBOARD = MONITORING / "grafana" / "dashboard.json"


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
    runbook = (ROOT / "docs" / "operations.md").read_text("utf-8")
    headings = {heading.lower() for heading in re.findall(r"^### (\w+)$", runbook, re.MULTILINE)}
    for name, rule in alerts().items():
        annotations = rule["annotations"]
        assert isinstance(annotations, dict)
        assert set(annotations) == {"summary", "description", "runbook"}, name
        assert annotations["runbook"] == f"docs/operations.md#{name.lower()}"
        assert rule["labels"] in ({"severity": "critical"}, {"severity": "warning"})
    assert headings == {name.lower() for name in alerts()}


def test_the_dashboard_s_queries_are_valid(tmp_path: Path) -> None:
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    rules = [
        {"record": f"panel:{panel['id']}_{target['refId']}", "expr": plain(target["expr"])}
        for panel in dashboard["panels"]
        for target in panel["targets"]
    ]
    assert len(rules) > 20
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    promtool("check", "rules", str(tmp_path / "panels.yml"))


def plain(query: str) -> str:
    """The query as Grafana would send it."""
    return query.replace("$gateway", ".*").replace("$__rate_interval", "1m")


def test_the_dashboard_can_be_imported_and_provisioned() -> None:
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    assert dashboard["id"] is None
    # A variable, not an input: those are asked for at an import only, and a provisioned dashboard would have none.
    assert "__inputs" not in dashboard
    first = dashboard["templating"]["list"][0]
    assert (first["name"], first["type"], first["query"]) == ("DS_PROMETHEUS", "datasource", "prometheus")
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert {panel["type"] for panel in panels} <= {entry["id"] for entry in dashboard["__requires"]}
    covered = set()
    for panel in panels:
        assert panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${DS_PROMETHEUS}"}
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}  # fmt: skip
        assert not cells & covered, panel["title"]
        covered |= cells
