"""What scales Triton: the adapter's query, on numbers of ours and on the metrics of a real server."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deepfake_client import create_detector
from tests.deploy.kubernetes.rendered import KUBERNETES, Manifest, of_kind, render
from tests.media import photo
from tests.prometheus import Page, program
from tests.service import Service

VALUES: dict[str, Any] = yaml.safe_load((KUBERNETES / "prometheus-adapter" / "values.yaml").read_text("utf-8"))


def rule() -> dict[str, Any]:
    (only,) = VALUES["rules"]["custom"]
    return dict(only)


def query(pods: str) -> str:
    """What the adapter asks Prometheus for some pods."""
    text = str(rule()["metricsQuery"])
    text = text.replace("<<.LabelMatchers>>", f'namespace="deepfake",pod=~"{pods}"').replace("<<.GroupBy>>", "pod")
    assert "<<" not in text
    return text


def series(pod: str, model: str, metric: str, us_per_15s: int) -> dict[str, str]:
    name = f'nv_inference_{metric}_duration_us{{namespace="deepfake",pod="{pod}",model="{model}"}}'
    return {"series": name, "values": f"0+{us_per_15s}x40"}


def test_the_ratio_is_that_of_the_busiest_model_and_0_for_idle_pods(tmp_path: Path) -> None:
    inputs = [
        series("busy", "preprocess", "queue", 1_000_000),  # waits half of its computing
        series("busy", "preprocess", "compute_infer", 2_000_000),
        series("busy", "classifier", "queue", 9_000_000),  # waits three times its computing
        series("busy", "classifier", "compute_infer", 3_000_000),
        series("busy", "deepfake_detector", "queue", 99_000_000),  # the ensemble's own counts are no work
        series("busy", "deepfake_detector", "compute_infer", 1),
        series("idle", "preprocess", "queue", 0),
        series("idle", "preprocess", "compute_infer", 0),
        series("idle", "classifier", "queue", 100),  # next to nothing, and not infinitely much of it
        series("idle", "classifier", "compute_infer", 0),
        series("another", "classifier", "queue", 9_000_000),
        series("another", "classifier", "compute_infer", 1),
    ]
    expected = [
        {"labels": '{pod="busy"}', "value": 3},
        {"labels": '{pod="idle"}', "value": 100 / 15 / 1000},
    ]
    case = {
        "interval": "15s",
        "input_series": inputs,
        "promql_expr_test": [{"expr": query("busy|idle"), "eval_time": "9m", "exp_samples": expected}],
    }
    (tmp_path / "test.yml").write_text(yaml.safe_dump({"tests": [case]}))
    done = subprocess.run(
        [program("promtool"), "test", "rules", "test.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_metric_of_the_query_is_one_of_a_real_triton(service: Service) -> None:
    with create_detector(service.grpc) as detector:
        detector.detect(photo("astronaut.png"))
    page = Page.fetch(f"http://127.0.0.1:{service.triton_metrics_port}/metrics")
    used = set(re.findall(r"\bnv_\w+", rule()["metricsQuery"] + rule()["seriesQuery"]))
    assert len(used) == 2
    for name in used:
        models = {dict(labels)["model"] for sample, labels in page.samples if sample == name}
        assert {"preprocess", "classifier"} <= models
    computed = [v for (n, labels), v in page.samples.items() if n == "nv_inference_compute_infer_duration_us" and v]
    assert computed


def test_the_autoscaler_asks_for_the_metric_that_the_adapter_gives(services: dict[str, Path]) -> None:
    assert rule()["resources"]["overrides"] == {"namespace": {"resource": "namespace"}, "pod": {"resource": "pod"}}
    for folder in services.values():
        scalers = of_kind(render(folder), "HorizontalPodAutoscaler")
        asked = [m["pods"]["metric"]["name"] for s in scalers for m in s["spec"]["metrics"] if m["type"] == "Pods"]
        assert set(asked) == {rule()["name"]["as"]}


@pytest.mark.parametrize("name", ["triton-blue", "gateway"])
def test_one_step_is_bounded(name: str, gpu: list[Manifest]) -> None:
    (scaler,) = [s for s in of_kind(gpu, "HorizontalPodAutoscaler") if s["metadata"]["name"] == name]
    behavior = scaler["spec"]["behavior"]
    (down,) = behavior["scaleDown"]["policies"]
    assert (down["type"], down["value"]) == ("Pods", 1)
    assert down["periodSeconds"] >= 60
    assert behavior["scaleDown"]["stabilizationWindowSeconds"] >= 300
    if name != "gateway":
        assert all(policy["value"] <= 100 for policy in behavior["scaleUp"]["policies"])
