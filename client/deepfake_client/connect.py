"""From an address, several, or a directory to a detector."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from deepfake_client.detector import Detector
from deepfake_client.errors import ConfigurationError, ServiceError
from deepfake_client.observer import RequestObserver
from deepfake_client.release import ModelInfo, release_id_of
from deepfake_client.scorer import PinnableScorer
from deepfake_client.settings import ClientSettings

_CONNECT_TIMEOUT_S = 5.0


def create_detector(
    target: str | Path | Sequence[str],
    settings: ClientSettings | None = None,
    observer: RequestObserver | None = None,
) -> Detector:
    """Makes a detector for Triton servers, or for a model in this process.

    Args:
        target: `host:port` of a Triton gRPC endpoint (`grpc://` may stand before it), several of them as a sequence or
            separated by commas, over which requests are spread; `dns://name:port` for every address that the name
            has, `file:PATH` for every one that the file lists, both looked up again all the time; or a directory: a
            release made by deepfake-export, or a checkpoint, which is exported first. The in-process forms need the
            extras `preprocessing` and `cpu` (or `gpu`), a checkpoint also `export`.
        settings: Client settings; from the environment by default.
        observer: Told of every inference request to a server, for metrics and traces; not in the in-process forms.

    Raises:
        ConfigurationError: The target is neither.
    """
    settings = settings or ClientSettings()
    if isinstance(target, str | Path) and str(target) and Path(target).is_dir():
        from deepfake_client.in_process import InProcessScorer

        return Detector(InProcessScorer.open(Path(target)), settings)
    if isinstance(target, Path):
        raise ConfigurationError(f"{str(target)!r} is neither host:port of a Triton server nor an existing directory")
    from deepfake_client.triton.scorer import TritonScorer

    urls = [text.strip() for text in (target.split(",") if isinstance(target, str) else target)]
    try:
        return Detector(TritonScorer(urls, settings, observer), settings)
    except ConfigurationError as error:
        raise ConfigurationError(
            f"{target!r} is neither host:port of a Triton server nor dns://name:port, file:PATH or a directory"
        ) from error


def connect_for_batch(target: str, outage_wait_s: float) -> tuple[Detector, ModelInfo]:
    """A detector for a run over many files that has answered once, and what answered and will score all of them.

    Nobody sits before such a run: a server that is away or overloaded later is waited for. Where the servers have
    several releases, as during a rollout, the run keeps to the one that answered.

    Args:
        target: See `create_detector`.
        outage_wait_s: How long each request waits for a server that is away or overloaded.

    Raises:
        ConfigurationError: The target, or a DEEPFAKE_CLIENT_ variable, makes no sense, or an extra is missing.
        ServiceError: No server answers now.
    """
    try:
        settings = ClientSettings().model_copy(
            update={"outage_wait_s": outage_wait_s, "overload_wait_s": outage_wait_s}
        )
    except ValidationError as error:
        raise ConfigurationError(f"a DEEPFAKE_CLIENT_ setting is wrong: {error}") from error
    try:
        detector = create_detector(target, settings)
    except ImportError as error:
        raise ConfigurationError(str(error)) from error
    try:
        info = detector.info(timeout_s=_CONNECT_TIMEOUT_S)
        if isinstance(detector.scorer, PinnableScorer):
            detector.scorer.pin(info.release_id)
        return detector, info
    except BaseException:
        detector.close()
        raise


def keep_to(detector: Detector, model_version: str) -> bool:
    """Has the detector score by this model alone, where a server has it; otherwise nothing changes.

    Args:
        detector: Of `connect_for_batch`.
        model_version: `ModelInfo.version` of the model that began a run.

    Raises:
        ServiceError: No server answers now.
    """
    before = detector.info(timeout_s=_CONNECT_TIMEOUT_S)
    if before.version == model_version or not isinstance(detector.scorer, PinnableScorer):
        return before.version == model_version
    detector.scorer.pin(release_id_of(model_version))
    try:
        if detector.info(timeout_s=_CONNECT_TIMEOUT_S).version == model_version:
            return True
    except ServiceError:
        pass
    detector.scorer.pin(before.release_id)
    return False
