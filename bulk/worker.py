"""Scores units of files on the servers, in a process of the cluster. Nothing here knows Ray."""

import os
import random
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bulk.errors import BulkError
from bulk.output import Output
from bulk.stores import MediaName, open_anywhere
from deepfake_client import errors
from deepfake_client.batch.scoring import FileReport, detect_files, service_works
from deepfake_client.command_line.exits import EXIT_UNREACHABLE
from deepfake_client.connect import create_detector
from deepfake_client.detector import Detector
from deepfake_client.settings import ClientSettings

_NEVER_A_ROW = (errors.OverloadedError.code, errors.ServerNotTrustedError.code)
"""The server did not look at the file."""

_PERHAPS_THE_FILE = (
    errors.DeadlineExceededError.code,
    errors.ServerUnavailableError.code,
    errors.ModelNotServedError.code,
)
"""The file may be what slows or ends the server, or the server failed by itself."""

_TRIES = 3
_PAUSE_S = 0.8  # between tries; the client itself waits for a server within each


@dataclass(frozen=True)
class Task:
    """What every worker of a run is told.

    Attributes:
        servers: As `deepfake_client.create_detector` takes them.
        client_settings: As the driver read them from its environment.
        output: The output folder.
        output_id: `OutputSettings.id` that must be seen there.
        witness: A file that must be seen, None where no file is local.
        model_version: The model that must answer.
        files_in_flight: Files in progress at once.
        give_up_after_s: How long nothing may be scored before the run ends.
    """

    servers: str
    client_settings: ClientSettings
    output: str
    output_id: str
    witness: str | None
    model_version: str
    files_in_flight: int
    give_up_after_s: float


def score_and_write(task: Task, names: Sequence[str]) -> None:
    """Scores the files of a unit (see `score`) and writes their rows in one step."""
    Output(task.output).write_rows(score(task, names))


def score(task: Task, names: Sequence[str]) -> list[FileReport]:
    """One report for each file, in their order. A server that is away or overloaded is waited for.

    A file that the server left unanswered is tried three times. That is its report only if a test image is scored then.

    Raises:
        BulkError: No file got its report for `give_up_after_s`, another model has answered, or this machine does not
            see the files or the output.
    """
    detector = _detector(task)
    reports: dict[str, FileReport] = {}
    unanswered: Counter[str] = Counter()
    failure, last_s = "", time.monotonic()
    while missing := [name for name in names if name not in reports]:
        media = [MediaName(name) for name in missing]
        with closing(detect_files(detector, media, workers=task.files_in_flight, open_file=open_anywhere)) as found:
            try:
                for name, report in zip(missing, found, strict=True):
                    if report.output is not None and report.output.model_version != task.model_version:
                        raise BulkError(f"{report.output.model_version} answers now, {task.model_version} did at the "
                                        "start: serve that one again and continue with --resume")  # fmt: skip
                    unanswered[name] += report.error_code in _PERHAPS_THE_FILE
                    if _is_final(report, unanswered[name], detector):
                        reports[name], last_s = report, time.monotonic()
                    else:
                        failure = report.error_message
            except errors.ServiceError as error:
                failure = str(error)
        silent_s = time.monotonic() - last_s
        if len(reports) < len(names):
            if silent_s >= task.give_up_after_s:
                raise BulkError(f"{failure}. Nothing could be scored for {silent_s:.0f} s", EXIT_UNREACHABLE)
            time.sleep(random.uniform(0.5, 2.0) * _PAUSE_S)
    return [reports[name] for name in names]


def _is_final(report: FileReport, unanswered: int, detector: Detector) -> bool:
    if report.error_code in _PERHAPS_THE_FILE:
        return unanswered >= _TRIES and service_works(detector)
    return report.error_code not in _NEVER_A_ROW


@cache
def _detector(task: Task) -> Detector:
    """This process's detector. A machine on which every file would be missing or every row lost is refused first."""
    host = os.uname().nodename
    if task.witness is not None and not Path(task.witness).exists():
        raise BulkError(f"{host} does not see {task.witness}: mount its folder on every machine, or use URIs")
    settings = Output(task.output).settings()
    if settings is None or settings.id != task.output_id:
        raise BulkError(f"{host} does not see this run in {task.output}: the output must be a shared file system that "
                        "every machine of the cluster has mounted, or a folder of an object store")  # fmt: skip
    return create_detector(task.servers, task.client_settings)
