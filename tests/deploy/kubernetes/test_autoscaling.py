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


def series(pod: str, model: str, values: str) -> dict[str, str]:
    name = f'nv_inference_pending_request_count{{namespace="deepfake",pod="{pod}",model="{model}"}}'
    return {"series": name, "values": values}


def test_requests_that_wait_are_counted_for_each_pod(tmp_path: Path) -> None:
    inputs = [
        series("busy", "preprocess", "4x40"),
        series("busy", "classifier", "0 4x20 0 4x20"),
        series("busy", "deepfake_detector", "99x40"),  # the ensemble's own count is no queue
        series("idle", "preprocess", "0x40"),
        series("idle", "classifier", "0x40"),
        series("another", "classifier", "99x40"),
    ]
    expected = [{"labels": '{pod="busy"}', "value": 8}, {"labels": '{pod="idle"}', "value": 0}]
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
    (name,) = used
    assert {"preprocess", "classifier"} <= {dict(labels)["model"] for sample, labels in page.samples if sample == name}


def test_autoscalers_need_no_metric_but_processor_time(services: dict[str, Path]) -> None:
    """Which every cluster with metrics-server has."""
    for name, folder in services.items():
        for scaler in of_kind(render(folder), "HorizontalPodAutoscaler"):
            kinds = {metric["type"] for metric in scaler["spec"]["metrics"]}
            with_queue = name == "gpu, all at once" and scaler["metadata"]["name"].startswith("triton")
            assert kinds == ({"Resource", "Pods"} if with_queue else {"Resource"})


def test_the_component_asks_for_the_metric_that_the_adapter_gives(rollout: list[Manifest]) -> None:
    assert rule()["resources"]["overrides"] == {"namespace": {"resource": "namespace"}, "pod": {"resource": "pod"}}
    scalers = of_kind(rollout, "HorizontalPodAutoscaler")
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
