"""Many media files through one detector: which files, in which order, and one report for each whatever happens."""

import glob
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from client.detector import DetectionOutput, Detector
from client.errors import DetectionError
from client.media import MediaType

SCANNED_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".mp4", ".avi", ".mov", ".mkv", ".webm"})
"""What a directory scan takes; files that are named are tried whatever they are called."""


@dataclass(frozen=True)
class FileReport:
    """The outcome for one file: an output, or an error code and its reason."""

    path: Path
    output: DetectionOutput | None = None
    error_code: str = ""
    error_message: str = ""


def find_media(inputs: Sequence[str]) -> list[Path]:
    """The files that the inputs mean, in order, each once.

    Args:
        inputs: Files, directories (searched recursively, by suffix, in the order of their names; links to
            directories are not followed) and glob patterns. What does not exist stays in the list, to be reported.
    """
    found: list[Path] = []
    for text in inputs:
        path = Path(text)
        if path.is_dir():
            found += _scan(path)
        elif not path.exists() and (matches := sorted(glob.glob(text, recursive=True))):  # noqa: PTH207 - absolute too
            found += [Path(match) for match in matches if not Path(match).is_dir()]
        else:
            found.append(path)
    return list(dict.fromkeys(found))


def _scan(directory: Path) -> Iterator[Path]:
    unreadable: list[Path] = []
    for folder, folders, names in os.walk(directory, onerror=lambda error: unreadable.append(Path(error.filename))):
        folders.sort()
        yield from (Path(folder, name) for name in sorted(names) if Path(name).suffix.lower() in SCANNED_SUFFIXES)
    yield from unreadable


def detect_files(
    detector: Detector,
    paths: Sequence[Path],
    *,
    media_type: MediaType | None = None,
    timeout_s: float | None = None,
    workers: int = 2,
) -> Iterator[FileReport]:
    """Detects the files on several threads; reports come in the order of the paths, as soon as that allows.

    Args:
        detector: Shared by the threads.
        paths: The files.
        media_type: What every file must be; sniffed otherwise.
        timeout_s: Deadline of each file.
        workers: Number of threads; each holds the frames of one file.
    """
    waiting: deque[Future[FileReport]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="detect") as pool:
        try:
            for path in paths:
                waiting.append(pool.submit(_detect_file, detector, path, media_type, timeout_s))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _detect_file(detector: Detector, path: Path, media_type: MediaType | None, timeout_s: float | None) -> FileReport:
    try:
        return FileReport(path, detector.detect(path, media_type, timeout_s=timeout_s))
    except DetectionError as error:
        return FileReport(path, error_code=error.code, error_message=str(error))
    except Exception as error:  # one file must never end the run
        return FileReport(path, error_code="INTERNAL", error_message=f"{type(error).__name__}: {error}")
