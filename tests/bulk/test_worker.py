import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import grpc
import pyarrow.parquet as pq
import pytest

from bulk.errors import BulkError
from bulk.output import Output
from bulk.worker import score_and_write
from deepfake_client import create_detector
from deepfake_client.batch.rows import flat_row
from deepfake_client.batch.scoring import detect_files
from deepfake_client.command_line.exits import EXIT_UNREACHABLE, EXIT_USAGE
from deepfake_client.settings import ClientSettings
from tests.bulk.conftest import MakeTask
from tests.inference_server import DESCRIPTION, FailingFirst, InferenceServer

UNAVAILABLE = (grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size")


def rows_of(output: Output) -> list[dict[str, Any]]:
    """All rows, without what differs from run to run."""
    rows = [row for path in Path(output.location, "rows").glob("*.parquet")
            for row in pq.read_table(path, use_threads=False).drop_columns(["metadata"]).to_pylist()]  # fmt: skip
    return [{**row, "processing_time_seconds": None} for row in rows]


def expected_rows(server: InferenceServer, names: list[str]) -> list[dict[str, Any]]:
    """What `deepfake-detect` makes of the files."""
    with create_detector(server.url) as detector:
        reports = detect_files(detector, [Path(name) for name in names])
        return [{**flat_row(report), "processing_time_seconds": None} for report in reports]


def test_rows_are_those_of_deepfake_detect(
    server: InferenceServer, make_task: MakeTask, media: list[str], output: Output
) -> None:
    score_and_write(make_task(), media)
    rows = rows_of(output)
    assert rows == expected_rows(server, media)
    codes = [row["error_code"] for row in rows if row["error_code"]]
    assert codes == ["MEDIA_NOT_FOUND", "UNSUPPORTED_MEDIA", "NOTHING_SCORED"]


def test_a_server_that_is_away_is_waited_for(
    server: InferenceServer, make_task: MakeTask, media: list[str], output: Output
) -> None:
    expected = expected_rows(server, media)
    server.stop()
    restart = threading.Timer(1.5, server.start)
    restart.start()
    score_and_write(make_task(), media)
    restart.join()
    assert rows_of(output) == expected


def test_an_overloaded_server_is_waited_for(
    server: InferenceServer, make_task: MakeTask, media: list[str], output: Output
) -> None:
    expected = expected_rows(server, media)
    server.behaviour = FailingFirst(*[UNAVAILABLE] * 40)
    score_and_write(make_task(), media)
    assert rows_of(output) == expected


def test_a_server_that_stays_away_ends_the_run_and_makes_no_row(
    server: InferenceServer, make_task: MakeTask, media: list[str], output: Output
) -> None:
    server.stop()
    with pytest.raises(BulkError, match="Nothing could be scored for") as raised:
        score_and_write(make_task(give_up_after_s=1.0), media)
    assert raised.value.exit_code == EXIT_UNREACHABLE
    assert rows_of(output) == []


def test_a_server_that_never_answers_makes_no_row(
    server: InferenceServer, make_task: MakeTask, media: list[str], output: Output
) -> None:
    """It is there, but frozen: no file is at fault when a test image is not scored either."""
    server.behaviour.gate = threading.Event()
    settings = ClientSettings(outage_wait_s=0.2, overload_wait_s=0.2, timeout_s=0.3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("deepfake_client.batch.scoring._CANARY_TIMEOUT_S", 0.3)
        with pytest.raises(BulkError, match="Nothing could be scored for"):
            score_and_write(make_task(client_settings=settings, give_up_after_s=2.0), media[:3])
    assert rows_of(output) == []


def test_a_file_that_takes_too_long_is_a_row(
    server: InferenceServer, make_task: MakeTask, media: list[str], output: Output
) -> None:
    slow = b"\xff\xd8\xff\xe0slow"
    Path(media[0]).write_bytes(slow)
    answer = server.ModelInfer

    def slow_for_one(request: Any, context: Any) -> Any:
        if slow in request.raw_input_contents[0]:
            time.sleep(1.0)
        return answer(request, context)

    server.stop()
    server.ModelInfer = slow_for_one  # type: ignore[method-assign]
    server.start()
    settings = ClientSettings(outage_wait_s=0.2, overload_wait_s=0.2, timeout_s=0.5)
    score_and_write(make_task(client_settings=settings, give_up_after_s=60.0), media)
    rows = rows_of(output)
    assert rows[0]["error_code"] == "DEADLINE"
    assert Counter(bool(row["error_code"]) for row in rows) == {True: 4, False: 6}


def test_another_model_ends_the_run(
    server: InferenceServer, make_task: MakeTask, media: list[str], output: Output
) -> None:
    server.behaviour.description = {**DESCRIPTION, "release_id": "ba9876543210"}
    with pytest.raises(BulkError, match="ba9876543210 answers now, example/detector@fp32-0123456789ab did") as raised:
        score_and_write(make_task(), media)
    assert raised.value.exit_code == EXIT_USAGE
    assert rows_of(output) == []


@pytest.mark.parametrize(
    ("others", "reason"),
    [
        ({"witness": "/unmounted/a.jpg"}, "does not see /unmounted/a.jpg"),
        ({"output": "/nowhere/else"}, "does not see this run in /nowhere/else"),
        ({"output_id": "another"}, "does not see this run in"),
    ],
)
def test_a_machine_that_sees_neither_files_nor_output_does_nothing(
    make_task: MakeTask, media: list[str], output: Output, others: dict[str, str], reason: str
) -> None:
    with pytest.raises(BulkError, match=reason):
        score_and_write(make_task(**others), media)
    assert rows_of(output) == []
