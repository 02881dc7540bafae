import json
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from deepfake_client import create_detector
from deepfake_client.batch.rows import report_json
from deepfake_client.batch.scoring import detect_files

from bulk.attempts import Attempts
from bulk.errors import ModelChangedError, ServiceLostError
from bulk.plan import Plan, Unit
from bulk.shards import ROWS_FOLDER
from bulk.storage import LocalStorage
from bulk.worker import Outcome, Receipt, UnitWorker, receipts_of, units_table
from tests.bulk.conftest import MODEL_VERSION, PACE, MakeTask
from tests.inference_server import DESCRIPTION, FailingFirst, InferenceServer

UNAVAILABLE = (grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size")


def rows_of(storage: LocalStorage) -> list[dict[str, Any]]:
    """All rows, without what differs from run to run."""
    lines = [line for name in storage.names(ROWS_FOLDER) for line in storage.read(f"rows/{name}").splitlines()]
    return [{**json.loads(line), "processing_time_seconds": None} for line in lines]


def expected_rows(server: InferenceServer, names: list[str]) -> list[dict[str, Any]]:
    """What `deepfake-detect` makes of the files."""
    with create_detector(server.url) as detector:
        reports = detect_files(detector, [Path(name) for name in names])
        return [{**json.loads(json.dumps(report_json(report))), "processing_time_seconds": None} for report in reports]


def test_rows_are_those_of_deepfake_detect(
    server: InferenceServer, make_task: MakeTask, plan: Plan, media: list[str], storage: LocalStorage
) -> None:
    (receipts,) = [receipts_of(table) for table in UnitWorker(make_task())(units_table(plan.units))]
    assert receipts == [Receipt(plan.units[0].id, Outcome.DONE, 10)]
    rows = rows_of(storage)
    assert rows == expected_rows(server, media)
    assert [row["error"]["code"] for row in rows if row["error"]] == [
        "MEDIA_NOT_FOUND", "UNSUPPORTED_MEDIA", "NOTHING_SCORED",
    ]  # fmt: skip


def test_a_unit_with_a_shard_is_not_scored_again(
    server: InferenceServer, make_task: MakeTask, plan: Plan, storage: LocalStorage
) -> None:
    UnitWorker(make_task()).do(plan.units[0])
    before, requests = rows_of(storage), len(server.received)
    assert UnitWorker(make_task()).do(plan.units[0]).outcome is Outcome.DONE_BEFORE
    assert len(server.received) == requests
    assert rows_of(storage) == before


def test_two_workers_with_the_same_unit_leave_one_shard(
    make_task: MakeTask, plan: Plan, media: list[str], storage: LocalStorage
) -> None:
    threads = [threading.Thread(target=UnitWorker(make_task()).do, args=(plan.units[0],)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [row["file"] for row in rows_of(storage)] == media
    assert storage.names("_scratch") == storage.names("_attempts") == []


def test_a_server_that_is_away_is_waited_for(
    server: InferenceServer, make_task: MakeTask, plan: Plan, media: list[str], storage: LocalStorage
) -> None:
    expected = expected_rows(server, media)
    server.stop()
    restart = threading.Timer(1.5, server.start)
    restart.start()
    assert UnitWorker(make_task()).do(plan.units[0]).outcome is Outcome.DONE
    restart.join()
    assert rows_of(storage) == expected


def test_an_overloaded_server_is_waited_for(
    server: InferenceServer, make_task: MakeTask, plan: Plan, media: list[str], storage: LocalStorage
) -> None:
    expected = expected_rows(server, media)
    server.behaviour = FailingFirst(*[UNAVAILABLE] * 40)
    assert UnitWorker(make_task()).do(plan.units[0]).outcome is Outcome.DONE
    assert rows_of(storage) == expected


def test_a_server_that_stays_away_ends_the_run_and_makes_no_row(
    server: InferenceServer, make_task: MakeTask, plan: Plan, storage: LocalStorage
) -> None:
    server.stop()
    receipt = UnitWorker(make_task(pace=replace(PACE, give_up_after_s=1.0))).do(plan.units[0])
    assert receipt.outcome is Outcome.SERVICE_LOST
    with pytest.raises(ServiceLostError, match="Nothing could be scored for"):
        receipt.check()
    assert rows_of(storage) == []
    assert storage.names("_attempts") == []  # it gave up, and did not die


def test_a_server_that_never_answers_makes_no_row(
    server: InferenceServer, make_task: MakeTask, plan: Plan, storage: LocalStorage
) -> None:
    """It is there, but frozen: no file is at fault when a test image is not scored either."""
    server.behaviour.gate = threading.Event()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("deepfake_client.batch.scoring._CANARY_TIMEOUT_S", 0.3)
        pace = replace(PACE, timeout_s=0.3, give_up_after_s=2.0)
        receipt = UnitWorker(make_task(pace=pace)).do(plan.units[0])
    assert receipt.outcome is Outcome.SERVICE_LOST
    assert rows_of(storage) == []


def test_a_store_that_fails_is_asked_again_before_that_is_a_row(
    make_task: MakeTask, storage: LocalStorage, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: Counter[str] = Counter()

    def fails(uri: str, *_: object) -> None:
        asked[uri] += 1
        if uri == "s3://bucket/dead.jpg" or asked[uri] < 3:
            raise OSError("slow down")

    monkeypatch.setattr("bulk.media._fetch", fails)  # what it gives is empty
    unit = Unit("unit", ("s3://bucket/dead.jpg", "s3://bucket/slow.jpg"))
    assert UnitWorker(make_task(pace=replace(PACE, give_up_after_s=30.0))).do(unit).outcome is Outcome.DONE
    assert [row["error"]["code"] for row in rows_of(storage)] == ["MEDIA_NOT_READ", "UNSUPPORTED_MEDIA"]
    assert asked == {"s3://bucket/dead.jpg": 3, "s3://bucket/slow.jpg": 3}


def test_a_file_that_takes_too_long_is_a_row(
    server: InferenceServer, make_task: MakeTask, plan: Plan, storage: LocalStorage
) -> None:
    slow = b"\xff\xd8\xff\xe0slow"
    Path(plan.units[0].names[0]).write_bytes(slow)
    answer = server.ModelInfer

    def slow_for_one(request: Any, context: Any) -> Any:
        if slow in request.raw_input_contents[0]:
            time.sleep(1.0)
        return answer(request, context)

    server.stop()
    server.ModelInfer = slow_for_one  # type: ignore[method-assign]
    server.start()
    pace = replace(PACE, timeout_s=0.5, give_up_after_s=60.0)
    assert UnitWorker(make_task(pace=pace)).do(plan.units[0]).outcome is Outcome.DONE
    rows = rows_of(storage)
    assert rows[0]["error"]["code"] == "DEADLINE"
    assert Counter(bool(row["error"]) for row in rows) == {True: 4, False: 6}


def test_another_model_ends_the_run(
    server: InferenceServer, make_task: MakeTask, plan: Plan, storage: LocalStorage
) -> None:
    server.behaviour.description = {**DESCRIPTION, "release_id": "ba9876543210"}
    receipt = UnitWorker(make_task()).do(plan.units[0])
    with pytest.raises(ModelChangedError, match="ba9876543210 answers now, example/detector@fp32-0123456789ab did"):
        receipt.check()
    assert rows_of(storage) == []


def test_a_machine_that_sees_neither_files_nor_output_does_nothing(
    make_task: MakeTask, plan: Plan, storage: LocalStorage, tmp_path: Path
) -> None:
    no_files = UnitWorker(make_task(local_folder=str(tmp_path / "unmounted"))).do(plan.units[0])
    assert no_files.outcome is Outcome.WRONG_NODE
    assert "does not see" in no_files.message
    no_output = UnitWorker(make_task(output=str(tmp_path / "elsewhere"))).do(plan.units[0])
    assert no_output.outcome is Outcome.WRONG_NODE
    assert not (tmp_path / "elsewhere").exists()
    other_plan = UnitWorker(make_task(plan_id="another")).do(plan.units[0])
    assert other_plan.outcome is Outcome.WRONG_NODE
    assert rows_of(storage) == []


def test_a_full_disk_ends_the_run(
    make_task: MakeTask, plan: Plan, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("time.sleep", lambda _: None)
    worker = UnitWorker(make_task())
    monkeypatch.setattr("os.fsync", full)
    receipt = worker.do(plan.units[0])
    assert receipt.outcome is Outcome.NOT_WRITTEN
    assert "No space left on device" in receipt.message
    assert rows_of(storage) == []


def test_after_some_deaths_files_are_scored_one_by_one_and_the_deadly_one_gets_its_row(
    server: InferenceServer, make_task: MakeTask, plan: Plan, media: list[str], storage: LocalStorage
) -> None:
    expected = expected_rows(server, media)
    attempts = Attempts(storage)
    unit = plan.units[0]
    for place in (None, None, 1, 3, 3):  # twice with all files, once with the second alone, twice with the fourth
        attempts.begin(unit.id, place)
    before = len(server.received)
    assert UnitWorker(make_task()).do(unit).outcome is Outcome.DONE
    rows = rows_of(storage)
    assert rows[3]["error"] == {
        "code": "WORKER_LOST",
        "message": f"{media[3]}: the process that scored nothing but this file died, 2 times",
    }
    assert rows[:3] + rows[4:] == expected[:3] + expected[4:]
    assert b"p=0.4" not in b"".join(image for got in server.received[before:] for image in got.images)
    assert storage.names("_attempts") == []


def test_one_death_is_no_reason_to_go_slow(
    server: InferenceServer, make_task: MakeTask, plan: Plan, media: list[str], storage: LocalStorage
) -> None:
    Attempts(storage).begin(plan.units[0].id)
    assert UnitWorker(make_task()).do(plan.units[0]).outcome is Outcome.DONE
    assert [row["file"] for row in rows_of(storage)] == media
    assert {row["model_version"] for row in rows_of(storage)} == {None, MODEL_VERSION}
