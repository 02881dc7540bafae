"""Hostile requests at the real service: some in the suite, FUZZ_REQUESTS (20,000 by default) in the long form."""

import os

import pytest

from tests.fuzz.fuzz_gateway import GatewayFuzzer
from tests.service import Service


def test_no_hostile_request_does_harm(service: Service) -> None:
    report = GatewayFuzzer(service.url, service.media_root, seed=7).run(160, catalogues=slice(0, None, 6))
    assert report.findings == []
    assert report.checks > 10
    statuses = {int(answer.rpartition(" ")[2]) for answer in report.answers}
    assert {200, 400, 422} <= statuses


def test_another_score_of_the_intact_image_is_a_finding(service: Service) -> None:
    fuzzer = GatewayFuzzer(service.url, service.media_root, seed=7)
    fuzzer._scores["upload"] += 1e-9
    assert len(fuzzer.run(1, catalogues=slice(0)).findings) == 1


@pytest.mark.long
@pytest.mark.timeout(0)
def test_no_hostile_request_does_harm_at_length(service: Service) -> None:
    seed = int(os.environ.get("FUZZ_SEED", "0"))
    report = GatewayFuzzer(service.url, service.media_root, seed).run(int(os.environ.get("FUZZ_REQUESTS", "20000")))
    print(f"{report.requests} requests, slowest {report.slowest_s:.2f} s, {report.checks} checks, {report.answers}")
    assert report.findings == []
