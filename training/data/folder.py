"""A folder of media files as training data."""

import csv
import hashlib
import io
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assets import default_cache_dir
from deepfake_client.plain_text import csv_cell
from evaluation.dataset import Label
from preprocessing import ResizeSpec
from training.data.faces import CutParams, FaceImage
from training.data.media_files import Part, find_media_files
from training.data.reading import FaceCache, ReadFiles, read_files, refuse_mostly_unreadable
from training.data.sets import (
    DataCounts,
    FaceSet,
    Forger,
    Lazy,
    SideCounts,
    TrainingData,
    ValidationSet,
    forged_views,
    joined,
)
from training.data.split import SplitFile, split_files
from training.errors import DatasetError, OptionError
from training.options import TrainingOptions
from training.writing import write_text

_Sample = tuple[SplitFile, int]
"""A readable file and the number of one of its cut faces."""

log = logging.getLogger("training")


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
        options: The options of the run.
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
    read = read_files(found, FaceCache(options.cache_dir or default_cache_dir() / "faces", params), params, check)
    if write_reports:
        _write_unreadable(options.output, read)
    refuse_mostly_unreadable(read)
    split = split_files(read.readable, options.val_fraction, options.seed, one_class_suffices=forge is not None)
    if write_reports:
        _write_split(options.output, split)
    training = [entry for entry in split if entry.part is Part.TRAIN]
    validation = [entry for entry in split if entry.part is Part.VALIDATION]
    counts = _counts(split, len(read.unreadable))
    log.info("%s", _counts_line(counts, read))

    def validate(crop_factor: float, resize: ResizeSpec) -> ValidationSet:
        if (crop_factor, resize) != (params.crop_factor, params.resize):
            raise DatasetError("the faces were cut for another crop factor or size")
        return _validation_set(validation, params, forge, options.seed)

    return TrainingData(_face_set(training), validate, _digest(split), counts)


def _samples(entries: Sequence[SplitFile]) -> list[_Sample]:
    return [(entry, number) for entry in entries for number in entry.faces.samples(entry.file.label)]


def _face(sample: _Sample) -> FaceImage:
    entry, number = sample
    return FaceImage(entry.faces.wide(number), entry.faces.boxes[number], f"group-{entry.group}", entry.file.name)


def _served(sample: _Sample) -> NDArray[np.uint8]:
    entry, number = sample
    return entry.faces.served(number)


def _face_set(entries: Sequence[SplitFile]) -> FaceSet:
    samples = _samples(entries)
    return FaceSet(Lazy(samples, _face), [entry.file.label for entry, _ in samples])


def _validation_set(entries: Sequence[SplitFile], params: CutParams, forge: Forger | None, seed: int) -> ValidationSet:
    samples = _samples(entries)
    labels, names = [entry.file.label for entry, _ in samples], [entry.file.name for entry, _ in samples]
    given = ValidationSet(Lazy(samples, _served), labels, names, [""] * len(samples))
    if forge is None or Label.FAKE in labels:
        return given
    return joined(given, forged_views(Lazy(samples, _face), forge, seed, params.crop_factor, params.resize))


def _counts(split: Sequence[SplitFile], unreadable: int) -> DataCounts:
    def side(part: Part) -> SideCounts:
        own = [entry for entry in split if entry.part is part]
        real, fake = (
            [len(e.faces.samples(label)) for e in own if e.file.label is label] for label in (Label.REAL, Label.FAKE)
        )
        return SideCounts(len(real), len(fake), sum(real), sum(fake), len({entry.group for entry in own}))

    left_out = sum(entry.part is None for entry in split)
    boxes = [box for entry in split if entry.part is Part.TRAIN for box in entry.faces.boxes]
    # Where none was found the box is the whole picture; hardly any face begins in the corner of its own crop.
    faceless = sum(box.x0 <= 0 and box.y0 <= 0 for box in boxes)
    return DataCounts(side(Part.TRAIN), side(Part.VALIDATION), left_out, unreadable, faceless)


def _counts_line(counts: DataCounts, read: ReadFiles) -> str:
    sides = [
        f"{name}: {side.real} real and {side.fake} fake files ({side.real_faces + side.fake_faces} faces or frames, "
        f"{side.people} people or sources)"
        for name, side in (("training", counts.train), ("validation", counts.val))
    ]
    return f"{'; '.join(sides)}; {read.from_cache} files had been cut before"


def _digest(split: Sequence[SplitFile]) -> str:
    lines = sorted(f"{e.file.sha256} {e.file.label} {e.part} {e.file.name}\n" for e in split)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _write_unreadable(output: Path, read: ReadFiles) -> None:
    rows = [(entry.file.name, entry.reason) for entry in read.unreadable]
    _write_csv(output / "unreadable.csv", ("file", "reason"), rows)


def _write_split(output: Path, split: Sequence[SplitFile]) -> None:
    rows = [
        (e.file.name, e.file.label, e.part or "left out", str(e.group), ";".join(e.file.people), e.file.sha256)
        for e in split
    ]
    _write_csv(output / "split.csv", ("file", "label", "part", "group", "person", "sha256"), rows)


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([header, *([csv_cell(value) for value in row] for row in rows)])
    write_text(path, text.getvalue())
