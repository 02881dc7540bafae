"""Scores the files of a unit, and waits for servers that are away: what is their fault never becomes a file's row."""

import os
import random
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field

from deepfake_client.batch.scoring import FileReport, detect_files, service_works
from deepfake_client.detector import Detector
from deepfake_client.errors import DeadlineExceededError, OverloadedError, ServerNotTrustedError, ServiceError
from deepfake_client.media import MediaType

from bulk.errors import ModelChangedError, ServiceLostError
from bulk.media import MediaNotReadError, open_anywhere

_NEVER_A_ROW = frozenset({OverloadedError.code, ServerNotTrustedError.code})
"""The server did not look at the file."""

_TRIES = 3
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 15.0


@dataclass(frozen=True)
class Pace:
    """How a worker scores.

    Attributes:
        files_in_flight: Files in progress at once.
        videos_in_flight: Most videos among them.
        timeout_s: Deadline of each file; None for the client's setting.
        give_up_after_s: How long nothing may be scored before the run ends.
    """

    files_in_flight: int
    videos_in_flight: int
    timeout_s: float | None
    give_up_after_s: float


def score_patiently(
    detector: Detector, names: Sequence[os.PathLike[str]], media_type: MediaType | None, model_version: str, pace: Pace
) -> list[FileReport]:
    """One report for each file, in their order.

    A file that the service leaves unanswered until its deadline, or that its store does not give, is tried three times
    before that is its report; the former only if a test image is scored then.

    Raises:
        ServiceLostError: No file has got its report for `give_up_after_s`.
        ModelChangedError: Another model has answered.
    """
    progress = _Progress(len(names), pace.give_up_after_s)
    while missing := [place for place in range(len(names)) if place not in progress.reports]:
        reports = detect_files(
            detector,
            [names[place] for place in missing],
            media_type=media_type,
            timeout_s=pace.timeout_s,
            workers=pace.files_in_flight,
            video_workers=pace.videos_in_flight,
            open_file=open_anywhere,
        )
        with closing(reports):
            try:
                for place, report in zip(missing, reports, strict=True):
                    _refuse_other_model(report, model_version)
                    progress.take(place, report, detector)
            except ServiceError as error:
                progress.failure = str(error)
        progress.pause()
    return [progress.reports[place] for place in range(len(names))]


@dataclass
class _Progress:
    """The reports that there are, by their place, and how long ago the last one came."""

    files: int
    give_up_after_s: float
    reports: dict[int, FileReport] = field(default_factory=dict)
    failure: str = ""
    tries: Counter[int] = field(default_factory=Counter)
    pauses: int = 0
    last_s: float = field(default_factory=time.monotonic)

    def take(self, place: int, report: FileReport, detector: Detector) -> None:
        """Keeps a report unless it only says that the service did not answer."""
        if report.error_code in _NEVER_A_ROW or not self._is_final(place, report, detector):
            self.failure = report.error_message
            return
        self.reports[place] = report
        self.last_s = time.monotonic()
        self.pauses = 0

    def pause(self) -> None:
        """Waits, longer each time, before the files that have no report are tried again.

        Raises:
            ServiceLostError: It has been tried for long enough.
        """
        if len(self.reports) == self.files:
            return
        silent_s = time.monotonic() - self.last_s
        if silent_s >= self.give_up_after_s:
            raise ServiceLostError(f"{self.failure}. Nothing could be scored for {silent_s:.0f} s")
        longest_s = min(_FIRST_PAUSE_S * 2**self.pauses, _LONGEST_PAUSE_S, self.give_up_after_s - silent_s)
        time.sleep(longest_s * random.uniform(0.5, 1.0))
        self.pauses = min(self.pauses + 1, 10)

    def _is_final(self, place: int, report: FileReport, detector: Detector) -> bool:
        if report.error_code not in (DeadlineExceededError.code, MediaNotReadError.code):
            return True
        self.tries[place] += 1
        store_is_at_fault = report.error_code == MediaNotReadError.code
        return self.tries[place] >= _TRIES and (store_is_at_fault or service_works(detector))


def _refuse_other_model(report: FileReport, model_version: str) -> None:
    if report.output is not None and report.output.model_version != model_version:
        raise ModelChangedError(
            f"{report.output.model_version} answers now, {model_version} did at the start, and one output holds the "
            "scores of one model: serve the first one again and continue with --resume"
        )
