"""Triton's account of its models, from its metrics."""

import pytest

from benchmark.triton_statistics import parse_metrics, shares

METRICS = """# HELP nv_inference_request_success Number of successful inference requests, all batch sizes
nv_inference_request_success{{model="classifier",version="1"}} {requests}
nv_inference_request_failure{{model="classifier",reason="OTHER",version="1"}} 0
nv_inference_count{{model="classifier",version="1"}} {images}
nv_inference_exec_count{{model="classifier",version="1"}} {executions}
nv_inference_request_duration_us{{model="classifier",version="1"}} {total}
nv_inference_queue_duration_us{{model="classifier",version="1"}} {queue}
nv_inference_compute_input_duration_us{{model="classifier",version="1"}} 1000
nv_inference_compute_infer_duration_us{{model="classifier",version="1"}} {infer}
nv_inference_compute_output_duration_us{{model="classifier",version="1"}} 1000
nv_inference_request_success{{model="preprocess",version="1"}} 5
nv_pinned_memory_pool_total_bytes 268435456
"""


def test_means_between_two_readings() -> None:
    before = parse_metrics(METRICS.format(requests=2, images=4, executions=2, total=9000, queue=0, infer=7000))
    after = parse_metrics(METRICS.format(requests=12, images=84, executions=12, total=109000, queue=20000, infer=87000))
    (share,) = shares(before, after)  # preprocess had no request meanwhile
    assert (share.model, share.requests, share.images_per_execution) == ("classifier", 10, 8)
    assert (share.total_ms, share.queue_ms, share.compute_ms) == pytest.approx((10, 2, 8))


def test_a_model_that_appears_counts_from_zero() -> None:
    (share, _preprocess) = shares(
        {}, parse_metrics(METRICS.format(requests=2, images=4, executions=2, total=9000, queue=0, infer=7000))
    )
    assert share.total_ms == 4.5
