"""What CHECKPOINT names: one checkpoint, or several whose scores are fused.

Several are named with commas between them, or by a folder that deepfake-calibrate wrote, with `fusion.json` in place of
`config.json`:

    {"members": [{"checkpoint": "someone/some-model", "revision": "5f0c...", "sha256": "...", "fake_labels": ["Fake"],
                  "weight": 0.7}, ...],
     "intercept": -0.2}

Such a folder may have a `deepfake.json`, golden images and a card of its own, which are those of the fused score.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deepfake_client.release import MAX_MEMBERS, FakeWhen, first_fault
from export.checkpoint.head import NOTHING_SAID, Labelling
from export.checkpoint.hub import LocatedCheckpoint, locate_checkpoint
from export.checkpoint.load import SIDECAR, checkpoint_digest, read_sidecar
from export.errors import CheckpointError, LabelError
from runtime import FUSION_FILE, Fusion


class FusedMember(BaseModel):
    """A member of `fusion.json`.

    Attributes:
        checkpoint: Hub id, or a directory; a relative one is taken from the folder of fusion.json.
        revision: Commit of the hub repository.
        sha256: Over its configuration and weights, when the fusion was fitted (`checkpoint_digest`).
        fake_labels: The labels that counted as fake then; () where the labels say it, or the user.
        fake_when: Which end of a single output meant fake then.
        whole_image: Whether it is given the whole image, never the crop of a face.
        weight: Of its log-odds.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    checkpoint: str = Field(min_length=1)
    revision: str = ""
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    fake_labels: tuple[str, ...] = ()
    fake_when: FakeWhen | None = None
    whole_image: bool = False
    weight: float


class FusionFile(BaseModel):
    """The content of `fusion.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    members: tuple[FusedMember, ...] = Field(min_length=2, max_length=MAX_MEMBERS)
    intercept: float = 0.0

    @property
    def fusion(self) -> Fusion:
        """The formula."""
        return Fusion(tuple(member.weight for member in self.members), self.intercept)


@dataclass(frozen=True)
class MemberSource:
    """A checkpoint that is served, alone or with others.

    Attributes:
        located: Where it lies.
        whole_image: Whether it is given the whole image, never the crop of a face.
        labelling: What fusion.json says of its outputs.
    """

    located: LocatedCheckpoint
    whole_image: bool = False
    labelling: Labelling = NOTHING_SAID


@dataclass(frozen=True)
class Sources:
    """What is served together.

    Attributes:
        members: One, or several.
        fusion: How several are fused; None for one.
        folder: Where fusion.json lies, with what goes with the fused score; None without such a folder.
    """

    members: tuple[MemberSource, ...]
    fusion: Fusion | None = None
    folder: Path | None = None

    @classmethod
    def of(cls, located: LocatedCheckpoint) -> "Sources":
        """One checkpoint."""
        return cls((MemberSource(located),))

    def labellings(self, said: Labelling) -> list[Labelling]:
        """What is said of each member's outputs, by fusion.json or by the user.

        Raises:
            LabelError: Both say something.
        """
        if all(member.labelling == NOTHING_SAID for member in self.members):
            return [replace(said, of_several=self.fusion is not None)] * len(self.members)
        if said != NOTHING_SAID:
            raise LabelError(
                f"{FUSION_FILE} of {self.name} says itself what means fake: leave --fake-labels and --fake-when out"
            )
        return [member.labelling for member in self.members]

    @property
    def name(self) -> str:
        """For messages: the checkpoints' names."""
        return self.folder.name if self.folder else " + ".join(member.located.name for member in self.members)


def distinct(names: Sequence[str]) -> tuple[str, ...]:
    """The names, with their number behind where one is there twice."""
    return tuple(f"{name} ({at})" if names.count(name) > 1 else name for at, name in enumerate(names, 1))


def find_sources(named: str, revision: str | None = None, whole_image: Sequence[str] = ()) -> Sources:
    """Finds one checkpoint, or several.

    Args:
        named: A directory or hub id, several with commas between them, or a folder with fusion.json.
        revision: Branch, tag or commit of the hub repository; of several, one for each, with commas between them.
        whole_image: Those of `named` that are given whole images.

    Raises:
        CheckpointError: One is not there or named twice, or `revision` or `whole_image` does not fit them.
        HubUnreachableError: The hub does not answer, and one is not cached.
    """
    folder = Path(named)
    if _is_there(folder / FUSION_FILE):
        if revision or whole_image:
            raise CheckpointError(f"{folder / FUSION_FILE} says revisions and whole images itself: leave them out")
        return _read(folder.resolve())
    names = [named] if _is_there(folder) else [name for part in named.split(",") if (name := part.strip())]
    if not 1 <= len(names) <= MAX_MEMBERS:
        raise CheckpointError(f"{named}: name 1 to {MAX_MEMBERS} checkpoints, with commas between them")
    if unknown := set(whole_image) - set(names):
        raise CheckpointError(
            f"--whole-image {', '.join(sorted(unknown))} (make serve: DEEPFAKE_WHOLE_IMAGE): name some of "
            f"{', '.join(names)}"
        )
    revisions = (revision or "").split(",") if revision and len(names) > 1 else [revision or ""] * len(names)
    if len(revisions) != len(names):
        raise CheckpointError(
            f"--revision {revision} (make serve: DEEPFAKE_REVISION): give one for each of {', '.join(names)}, or none"
        )
    members = tuple(
        MemberSource(locate_checkpoint(name, given.strip() or None), name in whole_image)
        for name, given in zip(names, revisions, strict=True)
    )
    _require_different(members, named)
    return Sources(members, Fusion.mean(len(members)) if len(members) > 1 else None)


def _read(folder: Path) -> Sources:
    """The members of a folder's fusion.json, as they were when it was written."""
    try:
        file = FusionFile.model_validate_json((folder / FUSION_FILE).read_bytes())
    except ValidationError as error:
        raise CheckpointError(f"{folder / FUSION_FILE}: {first_fault(error)}") from error
    except OSError as error:
        raise CheckpointError(f"{folder / FUSION_FILE} cannot be read: {error.strerror}") from error
    if of_members := {"crop_factor", "trained"} & read_sidecar(folder).model_fields_set:
        raise CheckpointError(
            f"{folder / SIDECAR}: only a member's own {SIDECAR} says {' and '.join(sorted(of_members))}"
        )
    members = []
    for member in file.members:
        is_path = member.checkpoint.startswith((".", "/")) or (folder / member.checkpoint).is_dir()
        named = str(folder / member.checkpoint) if is_path else member.checkpoint
        located = locate_checkpoint(named, member.revision or None)
        if checkpoint_digest(located.path) != member.sha256:
            raise CheckpointError(
                f"{located.path} has changed since {folder / FUSION_FILE} was fitted to it: fit it again with "
                "deepfake-calibrate"
            )
        labelling = Labelling(member.fake_labels, member.fake_when)
        members.append(MemberSource(located, member.whole_image, labelling))
    _require_different(members, str(folder / FUSION_FILE))
    return Sources(tuple(members), file.fusion, folder)


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # several names together are too long for one
        return False


def _require_different(members: Sequence[MemberSource], named: str) -> None:
    if len(set(members)) < len(members):
        raise CheckpointError(f"{named}: a checkpoint is there twice; name each once")
