"""What a release says about itself to clients, through the ensemble's config."""

from deepfake_client.release import Description, Preprocess, Status
from export.checkpoint.labels import other_labels
from export.identity import export_id
from export.member import ExportedMember
from export.target import Variant
from preprocessing import PREPROCESSING_VERSION, STATUS_TABLE, PreprocessParams

STATUSES = {code: Status(name=row.name, meaning=row.meaning) for code, row in STATUS_TABLE.items()}


def served_preprocess(params: PreprocessParams) -> Preprocess:
    """What clients are told of the preprocessing."""
    return Preprocess.model_validate(params.to_dict())


def describe(member: ExportedMember, chosen: Variant) -> Description:
    """The description of a release of one checkpoint."""
    checkpoint, head = member.checkpoint, member.checkpoint.head
    return Description(
        model=checkpoint.name,
        revision=checkpoint.located.revision,
        checkpoint_sha256=checkpoint.sha256,
        architecture=type(checkpoint.model).__name__,
        trained=checkpoint.sidecar.trained,
        notice=checkpoint.sidecar.notice,
        precision=chosen.precision,
        backend=member.settings.backend,
        export_id=export_id(checkpoint, member.params, chosen),
        labels=head.labels,
        fake_labels=head.fake_labels,
        other_labels=tuple(other_labels(head.labels, head.fake_indices, all_may_be=head.activation == "sigmoid")),
        activation=head.activation,
        fake_when=head.fake_when,
        scope=checkpoint.sidecar.scope,
        verdict_bands=checkpoint.sidecar.verdict_bands,
        preprocess=served_preprocess(member.params),
        preprocessing_version=PREPROCESSING_VERSION,
        statuses=STATUSES,
        calibration=checkpoint.sidecar.calibration,
        model_card=checkpoint.model_card,
    )
