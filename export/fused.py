"""A release of several checkpoints: what they share, and what their fusion says about itself."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from deepfake_client.release import Description, Member, Scope
from export.checkpoint.calibrated import fitting_sidecar
from export.checkpoint.fusion import Sources
from export.checkpoint.load import Sidecar, read_sidecar
from export.checkpoint.model_card import read_card
from export.checkpoint.torch_scores import fake_probabilities
from export.description import STATUSES, served_preprocess
from export.errors import GoldenError
from export.fused_repository import FUSED_LABELS
from export.gate.golden import golden_squares
from export.golden import GoldenSet, read_golden
from export.identity import export_id
from export.member import ExportedMember
from export.target import Variant
from preprocessing import PREPROCESSING_VERSION, PreprocessParams, View
from runtime import Fusion, FusionSpec


@dataclass(frozen=True)
class FusedExport:
    """Several members, and what is made of their scores.

    Attributes:
        sources: What was named.
        fusion: The formula.
        members: In the order in which they were named.
        chosen: The variant of each that is served.
    """

    sources: Sources
    fusion: Fusion
    members: Sequence[ExportedMember]
    chosen: Sequence[Variant]

    @property
    def params(self) -> PreprocessParams:
        """Of the one preprocessing: the first view is that of the first member that is given faces, if any is."""
        views = self._views
        first = next(number for number, view in enumerate(views) if not view.whole_image)
        further = dict.fromkeys(view for view in views if view != views[first])
        return replace(self.members[first].params, further_views=tuple(further))

    @property
    def _views(self) -> list[View]:
        """Of each member. Where all are given whole images, it is the preprocessing that searches for no face."""
        views = [member.view for member in self.members]
        if all(view.whole_image for view in views):
            return [replace(view, whole_image=False) for view in views]
        return views

    @property
    def member_ids(self) -> tuple[int, ...]:
        """Export id of each member's classifier: the same as where it is served alone."""
        return tuple(
            export_id(member.checkpoint, member.params, variant)
            for member, variant in zip(self.members, self.chosen, strict=True)
        )

    def spec(self) -> FusionSpec:
        """What the model `fusion` is given."""
        views = list(self.params.views)
        own = json.dumps([self.member_ids, asdict(self.fusion), self.params.to_dict()], sort_keys=True)
        return FusionSpec(
            weights=self.fusion.weights,
            intercept=self.fusion.intercept,
            export_id=int(hashlib.sha256(own.encode()).hexdigest()[:8], 16) % (2**31 - 1) + 1,
            member_export_ids=self.member_ids,
            views=tuple(map(views.index, self._views)),
        )

    def describe(self) -> Description:
        """What the release says about itself."""
        members, sidecar, spec = self.members, self._sidecar(), self.spec()
        digests = [member.checkpoint.sha256 for member in members]
        folder, name = self.sources.folder, sidecar.name or self.sources.name
        return Description(
            model=name,
            architecture=_joined(type(member.checkpoint.model).__name__ for member in members),
            checkpoint_sha256=hashlib.sha256(json.dumps([digests, asdict(self.fusion)]).encode()).hexdigest(),
            trained=all(member.checkpoint.sidecar.trained for member in members),
            notice=self._notice(sidecar),
            precision=_joined(variant.precision for variant in self.chosen),
            backend=members[0].settings.backend,
            export_id=spec.export_id,
            labels=FUSED_LABELS,
            fake_labels=FUSED_LABELS[:1],
            scope=sidecar.scope,
            verdict_bands=sidecar.verdict_bands,
            preprocess=served_preprocess(self.params),
            preprocessing_version=PREPROCESSING_VERSION,
            statuses=STATUSES,
            calibration=sidecar.calibration,
            model_card=read_card(folder, sidecar.model_card, name) if folder else None,
            members=tuple(map(self._described, range(len(members)))),
            fusion_intercept=self.fusion.intercept,
        )

    def _described(self, number: int) -> Member:
        member, variant = self.members[number], self.chosen[number]
        checkpoint = member.checkpoint
        return Member(
            name=checkpoint.name,
            revision=checkpoint.located.revision,
            architecture=type(checkpoint.model).__name__,
            checkpoint_sha256=checkpoint.sha256,
            precision=variant.precision,
            export_id=self.member_ids[number],
            labels=checkpoint.head.labels,
            fake_labels=checkpoint.head.fake_labels,
            scope=checkpoint.sidecar.scope,
            whole_image=not member.params.face_detection,
            crop_factor=member.params.crop_factor,
            calibrated=checkpoint.sidecar.calibration is not None,
            weight=self.fusion.weights[number],
        )

    def _sidecar(self) -> Sidecar:
        """Of the fused score. The scope is what the members say together, unless a folder of its own says another."""
        folder = self.sources.folder
        sidecar = read_sidecar(folder) if folder else Sidecar()
        if "scope" not in sidecar.model_fields_set:
            scopes = {member.checkpoint.sidecar.scope for member in self.members}
            sidecar = sidecar.model_copy(update={"scope": Scope.FACE if Scope.FACE in scopes else Scope.ANY})
        return fitting_sidecar(sidecar, FUSED_LABELS[:1], None, self.params)

    def _notice(self, sidecar: Sidecar) -> str:
        """Of the fusion and of each member, and which members are not calibrated."""
        checkpoints = [member.checkpoint for member in self.members]
        # As it is written: that a member lost its calibration would be told as of the release's bands.
        own = {checkpoint.name: read_sidecar(checkpoint.located.path).notice for checkpoint in checkpoints}
        notices = [sidecar.notice, *(f"{name}: {notice}" for name, notice in own.items() if notice)]
        rest = [checkpoint.name for checkpoint in checkpoints if checkpoint.sidecar.calibration is None]
        if rest and sidecar.calibration is None:
            notices.append(
                "These models have no calibration for what they are given, so their share in the fused score is "
                f"arbitrary: {', '.join(rest)}. Calibrate each of them, or the fusion."
            )
        return " ".join(filter(None, notices))

    def write_golden(self, folder: Path) -> None:
        """Writes the golden images that came with the fusion, if any, once its members score them as recorded.

        Raises:
            GoldenError: They do not, or the images are damaged.
        """
        golden = read_golden(self.sources.folder) if self.sources.folder else None
        if golden is None:
            return
        expected = golden.for_release(face_detection=self.params.face_detection, precision_tolerance=0.0)
        if reason := expected.mismatch(self._torch_scores(golden)):
            raise GoldenError(f"the fused models contradict their golden images: {reason}")
        served = golden.for_release(face_detection=self.params.face_detection, precision_tolerance=self._max_dp)
        served.write(folder)

    @property
    def _max_dp(self) -> float:
        """Largest |difference| of a fused probability that the precisions allow: a quarter of that of its log-odds."""
        limits = [member.limits(variant) for member, variant in zip(self.members, self.chosen, strict=True)]
        pairs = zip(self.fusion.weights, limits, strict=True)
        return sum(abs(weight) * limit.max_dlogit for weight, limit in pairs) / 4

    def _torch_scores(self, golden: GoldenSet) -> list[float]:
        columns = []
        for member in self.members:
            squares = golden_squares(
                golden,
                member.checkpoint,
                face_detection=member.params.face_detection,
                face_detector=member.params.face_detector,
                cache_dir=member.settings.cache_dir,
            )
            columns.append(fake_probabilities(member.checkpoint, squares))
        return [float(p) for p in self.fusion.fake_probability(np.stack(columns, axis=1))]


def _joined(names: Iterable[str]) -> str:
    """Each different name once."""
    return " + ".join(dict.fromkeys(names))
