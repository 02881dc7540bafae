"""perf_analyzer's reports, as the program wrote them, and what happens when it fails."""

import stat
from pathlib import Path

import pytest

from benchmark.perf_analyzer import PerfAnalyzerError, find_program, measure, parse_report

# perf_analyzer 2.60.0, --concurrency-range 4 --request-count 60, and --request-rate-range 20 with Poisson arrivals.
CLOSED = (
    "Concurrency,Inferences/Second,Client Send,Network+Server Send/Recv,Server Queue,Server Compute Input,"
    "Server Compute Infer,Server Compute Output,Client Recv,p50 latency,p90 latency,p95 latency,p99 latency\n"
    "4,29.9664,31,12138,3,189,50068,1989,5,56364,112655,113334,117994\n"
)
POISSON = (
    "Request Rate,Inferences/Second,Client Send,Network+Server Send/Recv,Server Queue,Server Compute Input,"
    "Server Compute Infer,Server Compute Output,Client Recv,p50 latency,p90 latency,p95 latency,p99 latency\n"
    "20,14.9972,53,5110,3,136,36500,1445,6,39178,65288,75926,95713\n"
)


def test_a_closed_loop_is_read_with_the_rate_that_its_latency_means() -> None:
    point = parse_report(CLOSED, "closed", 60)
    assert (point.load, point.requests, point.p50_ms, point.p99_ms) == (4, 60, 56.364, 117.994)
    assert point.mean_ms == pytest.approx(64.423)
    # The program says 29.97: it counted two whole seconds, where 60 requests took one.
    assert point.images_per_s == pytest.approx(62.09, abs=0.01)


def test_an_open_loop_is_read() -> None:
    point = parse_report(POISSON, "poisson", 60, 3.33)
    assert (point.load, point.images_per_s, point.p99_ms, point.delayed_percent) == (20, 14.9972, 95.713, 3.33)
    assert point.network_ms == 5.11


@pytest.mark.parametrize("text", ["", "Concurrency\n", CLOSED.replace("56364", "n/a"), CLOSED + "8,1\n"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(PerfAnalyzerError, match="cannot be read"):
        parse_report(text, "closed", 60)


def program(folder: Path, script: str) -> str:
    path = folder / "perf_analyzer"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IEXEC)
    return str(path)


def test_the_program_is_told_the_arrivals_and_asked_how_many_were_late(tmp_path: Path) -> None:
    script = (
        f'echo "$@" > {tmp_path}/arguments\n'
        'while [ "$1" != -f ]; do shift; done\n'
        f"cat > $2 <<END\n{POISSON}END\n"
        'echo "[WARNING] Perf Analyzer was not able to keep up with the desired request rate.'
        ' 3.33% of the requests were delayed."'
    )
    data = tmp_path / "images.json"
    point = measure(program(tmp_path, script), "host:1", data, load=20, requests=60, arrivals="poisson")
    assert point.delayed_percent == 3.33
    arguments = (tmp_path / "arguments").read_text()
    assert "--request-rate-range 20.000 --request-distribution poisson" in arguments
    assert "-u host:1 -i grpc -b 1" in arguments


@pytest.mark.parametrize(("script", "reason"), [("echo no server; exit 3", "code 3: no server"), ("exit 0", "code 0")])
def test_a_failure_says_its_last_lines(tmp_path: Path, script: str, reason: str) -> None:
    with pytest.raises(PerfAnalyzerError, match=reason):
        measure(program(tmp_path, script), "host:1", tmp_path / "images.json", load=1, requests=10)


def test_a_program_that_hangs_is_started_once_more_and_then_given_up(tmp_path: Path) -> None:
    script = program(tmp_path, f"echo started >> {tmp_path}/starts; exec sleep 60")
    with pytest.raises(PerfAnalyzerError, match=r"within 0\.5 s, 2 times"):
        measure(script, "host:1", tmp_path / "images.json", load=1, requests=10, timeout_s=0.5)
    assert (tmp_path / "starts").read_text().count("started") == 2


def test_a_program_that_is_not_there_is_none() -> None:
    assert find_program("no-such-perf-analyzer") is None
