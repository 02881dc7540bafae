"""A folder of media files as training data."""

import csv
import hashlib
import io
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.dataset import Label
from preprocessing import ResizeSpec
from training.data.cutting import CutParams
from training.data.face_cache import CachedFile, FaceCache, default_faces_dir
from training.data.face_image import FaceImage
from training.data.media_files import MediaFile, Part, find_media_files
from training.data.reading import ReadFiles, read_files, refuse_mostly_unreadable
from training.data.sets import FaceSet, Forger, TrainingData, ValidationSet, forged_views, joined
from training.data.split import SplitFile, split_files
from training.errors import DatasetError, OptionError
from training.options import TrainingOptions
from training.writing import write_text

log = logging.getLogger("training")


class CachedFaces(Sequence[FaceImage]):
    """The faces of some files, read from the cache one at a time."""

    def __init__(self, entries: Iterable[SplitFile]) -> None:
        self._frames = [(entry, number) for entry in entries for number in range(len(entry.faces.boxes))]

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, number: Any) -> Any:
        entry, frame = self._frames[number]
        person = f"group-{entry.group}"
        return FaceImage(entry.faces.wide(frame), entry.faces.boxes[frame], person, entry.file.name)


class _ServedViews(Sequence[NDArray[np.uint8]]):
    """What serving would show of some frames, read from the cache one at a time."""

    def __init__(self, frames: Sequence[tuple[CachedFile, int]]) -> None:
        self._frames = frames

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, number: Any) -> Any:
        faces, frame = self._frames[number]
        return faces.served(frame)


def load_folder(
    options: TrainingOptions,
    params: CutParams,
    forge: Forger | None,
    check: Callable[[], None] = lambda: None,
    *,
    write_reports: bool = True,
) -> TrainingData:
    """Reads `options.data_dir`, cuts the faces and splits by person and source.

    Args:
        options: Of the run.
        params: How faces are cut.
        forge: Makes fakes where validation has none; None without --self-blend.
        check: Called between files; what it raises ends the reading.
        write_reports: Write `unreadable.csv` and `split.csv` into the output directory.

    Raises:
        DatasetError: The folder cannot be trained on.
    """
    if options.data_dir is None:
        raise OptionError("there is nothing to train on: give data_dir, or data in memory")
    found = find_media_files(options.data_dir, one_class_suffices=forge is not None)
    read = read_files(found, FaceCache(options.cache_dir or default_faces_dir(), params), params, check)
    if write_reports:
        _write_unreadable(options.output, read)
    refuse_mostly_unreadable(read)
    split = split_files(read.readable, options.val_fraction, options.seed, one_class_suffices=forge is not None)
    if write_reports:
        _write_split(options.output, split)
    training = [entry for entry in split if entry.part is Part.TRAIN]
    validation = [entry for entry in split if entry.part is Part.VALIDATION]
    description = _describe(split, read)
    log.info("%s", _counts_line(description, read))

    def validate(crop_factor: float, resize: ResizeSpec) -> ValidationSet:
        if (crop_factor, resize) != (params.crop_factor, params.resize):
            raise DatasetError("the faces were cut for another crop factor or size")
        return _validation_set(validation, params, forge, options.seed)

    return TrainingData(_face_set(training), validate, _digest(split), description)


def _face_set(entries: Sequence[SplitFile]) -> FaceSet:
    labels = [entry.file.label for entry in entries for _ in entry.faces.boxes]
    return FaceSet(CachedFaces(entries), labels)


def _validation_set(entries: Sequence[SplitFile], params: CutParams, forge: Forger | None, seed: int) -> ValidationSet:
    frames = [(entry, number) for entry in entries for number in range(len(entry.faces.boxes))]
    views = _ServedViews([(entry.faces, number) for entry, number in frames])
    labels = [entry.file.label for entry, _ in frames]
    given = ValidationSet(views, labels, [entry.file.name for entry, _ in frames], [""] * len(frames))
    if forge is None or Label.FAKE in labels:
        return given
    return joined(given, forged_views(CachedFaces(entries), forge, seed, params.crop_factor, params.resize))


def _describe(split: Sequence[SplitFile], read: ReadFiles) -> dict[str, Any]:
    files = Counter((entry.part, entry.file.label) for entry in split)
    frames: Counter[tuple[Part | None, Label]] = Counter()
    for entry in split:
        frames[entry.part, entry.file.label] += len(entry.faces.boxes)
    sides = {
        part.value: {
            label.value: files[part, label] for label in Label
        } | {f"{label.value}_frames": frames[part, label] for label in Label}
        for part in Part
    }  # fmt: skip
    groups = {part.value: len({entry.group for entry in split if entry.part is part}) for part in Part}
    left_out = sum(entry.part is None for entry in split)
    return {**sides, "people": groups, "left_out": left_out, "unreadable": len(read.unreadable)}


def _counts_line(description: dict[str, Any], read: ReadFiles) -> str:
    sides = [
        f"{name}: {side['real']} real and {side['fake']} fake files ({side['real_frames'] + side['fake_frames']} faces "
        f"or frames, {description['people'][part]} people or sources)"
        for part, name in ((Part.TRAIN, "training"), (Part.VALIDATION, "validation"))
        for side in (description[part],)
    ]
    return f"{'; '.join(sides)}; {read.from_cache} files had been cut before"


def _digest(split: Sequence[SplitFile]) -> str:
    lines = sorted(f"{e.file.sha256} {e.file.label} {e.part} {e.file.name}\n" for e in split)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _write_unreadable(output: Path, read: ReadFiles) -> None:
    rows = [(entry.file.name, entry.reason) for entry in read.unreadable]
    _write_csv(output / "unreadable.csv", ("file", "reason"), rows)


def _write_split(output: Path, split: Sequence[SplitFile]) -> None:
    rows = [_split_row(entry.file, entry.group, entry.part) for entry in split]
    _write_csv(output / "split.csv", ("file", "label", "part", "group", "person", "sha256"), rows)


def _split_row(file: MediaFile, group: int, part: Part | None) -> tuple[str, ...]:
    return file.name, file.label.value, part or "left out", str(group), ";".join(file.people), file.sha256


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, text.getvalue())
