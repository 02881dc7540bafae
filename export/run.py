"""One export: checkpoints -> served graphs -> variants, timed and judged -> release."""

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from assets import FACE_MODELS, fetch_assets
from deepfake_client.release import Description
from export.checkpoint.fusion import Sources, distinct
from export.checkpoint.hub import LocatedCheckpoint
from export.checkpoint.load import checkpoint_digest
from export.checkpoint.model_card import README
from export.description import describe
from export.errors import ExportError, ReleaseError
from export.fused import FusedExport
from export.fused_repository import write_fused_classifier, write_fusion
from export.gate.candidates import Candidate, take_fastest
from export.gate.faces import FaceParity, compare_with_mediapipe
from export.golden import FOLDER
from export.identity import source_key
from export.member import ExportedMember, VariantMaker, prepare_member
from export.release import (
    CARD,
    REPOSITORY,
    Release,
    find_release,
    hashed_files,
    open_partial,
    own_file,
    publish,
    release_id_of,
    served_description,
)
from export.report import write_report
from export.repository import ServingPlan, describe_ensemble, write_classifier, write_ensemble, write_preprocess
from export.settings import ExportSettings, Progress, Step
from export.target import Target, Variant, find_target, variants_of
from preprocessing import FaceDetector


def existing_release(checkpoints: LocatedCheckpoint | Sources, settings: ExportSettings) -> Release | None:
    """The release that `export_checkpoint` would make again, if it is already there."""
    sources, settings = _sources(checkpoints), settings.fitted()
    digests = [checkpoint_digest(member.located.path) for member in sources.members]
    return find_release(settings.releases_dir, source_key(digests, sources, settings, find_target(settings)))


def export_checkpoint(
    checkpoints: LocatedCheckpoint | Sources, settings: ExportSettings, progress: Progress = lambda _step: None
) -> Release:
    """Exports a checkpoint, or several that are fused, into a new release, without making it current.

    Args:
        checkpoints: What to export.
        settings: How.
        progress: Told each step, and how much of it is done.

    Raises:
        ExportError: One of its subclasses; nothing is left behind and nothing that is served has changed.
    """
    started = time.monotonic()
    sources, settings = _sources(checkpoints), settings.fitted()
    target = find_target(settings)
    wanted = variants_of(settings.precision, target)  # what cannot be had here is refused before the long part
    members = _prepare(sources, settings, target, progress)
    faces = _compare_faces(members, settings, progress)
    try:
        with open_partial(settings.releases_dir) as partial:
            candidates = [
                _take_fastest(member, wanted, partial / f"scratch_{number}", several=len(members) > 1)
                for number, member in enumerate(members)
            ]
            progress(Step("write the release"))
            manifest = _write_release(sources, members, [first for first, *_ in candidates], partial)
            tried = {member.checkpoint.name: of for member, of in zip(members, candidates, strict=True)}
            write_report(partial, manifest["release_id"], tried, faces, time.monotonic() - started)
            digests = [member.checkpoint.sha256 for member in members]
            key = source_key(digests, sources, settings, target)
            return publish(partial, settings.releases_dir, manifest, key)
    except OSError as error:
        raise ReleaseError(f"cannot write the release below {settings.releases_dir}: {error.strerror}") from error


def _sources(checkpoints: LocatedCheckpoint | Sources) -> Sources:
    return checkpoints if isinstance(checkpoints, Sources) else Sources.of(checkpoints)


def _prepare(
    sources: Sources, settings: ExportSettings, target: Target, progress: Progress
) -> tuple[ExportedMember, ...]:
    """Loads all members; their errors and steps say of which they are."""
    if len(sources.members) == 1:
        progress(Step("load the checkpoint"))
        return (prepare_member(sources.members[0], settings, target, progress),)
    members = []
    for source, labelling in zip(sources.members, sources.labellings(settings.labelling), strict=True):

        def of_one(step: Step, name: str = source.located.name) -> None:
            progress(replace(step, name=f"{name}: {step.name}"))

        of_one(Step("load the checkpoint"))
        with _named(source.located.name, source.located.path):
            members.append(prepare_member(source, replace(settings, labelling=labelling), target, of_one))
    settings.labelling.require_used([member.checkpoint.head for member in members])
    names = distinct([member.checkpoint.name for member in members])
    return tuple(
        replace(member, checkpoint=replace(member.checkpoint, name=name))
        for member, name in zip(members, names, strict=True)
    )


def _compare_faces(
    members: Sequence[ExportedMember], settings: ExportSettings, progress: Progress
) -> FaceParity | None:
    """Compares the direct face detector with MediaPipe on the gate's images; None where the direct one is not used.

    Raises:
        ParityError: The direct one finds other faces than MediaPipe.
    """
    if settings.face_detector is not FaceDetector.DIRECT or not any(m.params.face_detection for m in members):
        return None
    progress(Step("search the gate's images for faces"))
    models_dir = next(iter(fetch_assets(FACE_MODELS, settings.cache_dir).values())).parent
    photos = 0 if settings.precision == "fp32" else 2 * settings.parity_images
    parity = compare_with_mediapipe(models_dir, settings.parity_images, photos, settings.cache_dir)
    parity.check()
    return parity


def _take_fastest(
    member: ExportedMember, wanted: Sequence[Sequence[Variant]], scratch: Path, *, several: bool
) -> list[Candidate]:
    maker, size_px = VariantMaker(member, scratch), member.params.resize.size_px
    checkpoint = member.checkpoint
    with _named(checkpoint.name, checkpoint.located.path) if several else nullcontext():
        return take_fastest(wanted, scratch, size_px, maker.write, maker.judge, member.progress)


@contextmanager
def _named(name: str, path: Path) -> Iterator[None]:
    """Errors of the body begin with the one of several checkpoints that they are of."""
    try:
        yield
    except ExportError as error:
        says_it = str(error).startswith((f"{name}:", f"{name} ", str(path)))
        raise error if says_it else type(error)(f"{name}: {error}") from error


def _write_release(
    sources: Sources, members: Sequence[ExportedMember], chosen: Sequence[Candidate], partial: Path
) -> dict[str, Any]:
    """Writes the model repository and what goes with it; gives the content of release.json."""
    repository = partial / REPOSITORY
    if sources.fusion is None:
        description = _write_single(members[0], chosen[0], partial)
    else:
        fused = FusedExport(sources, sources.fusion, members, [candidate.variant for candidate in chosen])
        description = _write_fused(fused, chosen, partial)
    for candidate in chosen:
        shutil.rmtree(candidate.folder.parent)
    built_on = members[0].target.built_on
    document, files = description.to_json_dict(), hashed_files(partial)
    manifest: dict[str, Any] = {
        "release_id": release_id_of(document, files),
        "description": document,
        "files": files,
        "built_on": asdict(built_on) if built_on else None,
    }
    describe_ensemble(repository / "deepfake_detector", served_description(manifest))
    return manifest


def _write_single(member: ExportedMember, chosen: Candidate, partial: Path) -> Description:
    repository, description = partial / REPOSITORY, describe(member, chosen.variant)
    write_classifier(repository / "classifier", chosen.folder, _plan(member))
    write_preprocess(repository / "preprocess", member.params, member.settings, description.export_id)
    write_ensemble(repository / "deepfake_detector", description.labels)
    if member.golden is not None:
        member.golden.for_precision(member.limits(chosen.variant)).write(partial / FOLDER)
    _copy_card(member.checkpoint.located.path, partial)
    return description


def _write_fused(fused: FusedExport, chosen: Sequence[Candidate], partial: Path) -> Description:
    repository, description, spec = partial / REPOSITORY, fused.describe(), fused.spec()
    for number, (member, candidate) in enumerate(zip(fused.members, chosen, strict=True), 1):
        write_classifier(repository / f"classifier_{number}", candidate.folder, _plan(member))
    write_fusion(repository / "fusion", spec)
    write_fused_classifier(repository / "classifier", spec)
    write_preprocess(repository / "preprocess", fused.params, fused.members[0].settings, spec.export_id)
    views = len(fused.params.views)
    write_ensemble(repository / "deepfake_detector", description.labels, views, len(fused.members))
    fused.write_golden(partial / FOLDER)
    if fused.sources.folder:
        _copy_card(fused.sources.folder, partial)
    return description


def _plan(member: ExportedMember) -> ServingPlan:
    return ServingPlan(member.settings, member.params.resize.size_px, member.checkpoint.head.labels)


def _copy_card(checkpoint: Path, partial: Path) -> None:
    if readme := own_file(checkpoint, README):
        shutil.copyfile(readme, partial / CARD)
