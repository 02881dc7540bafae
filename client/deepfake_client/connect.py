"""Makes a detector from an address of Triton or a directory."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from deepfake_client.detector import Detector
from deepfake_client.errors import ConfigurationError
from deepfake_client.release import ModelInfo
from deepfake_client.scorer import RequestObserver
from deepfake_client.settings import ClientSettings

_CONNECT_TIMEOUT_S = 5.0


def create_detector(
    target: str | Path | Sequence[str],
    settings: ClientSettings | None = None,
    observer: RequestObserver | None = None,
) -> Detector:
    """Makes a detector for Triton servers, or for a model in this process.

    Args:
        target: `host:port` of a Triton gRPC endpoint; `dns:///name:port` for several servers behind one name;
            `ipv4:address:port,address:port`, or a sequence of host:port, for several servers; or a directory: a release
            made by deepfake-export, or a checkpoint, which is exported first. The in-process forms need the extras
            `preprocessing` and `cpu` (or `gpu`), a checkpoint also `export`.
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

    try:
        return Detector(TritonScorer(target, settings, observer), settings)
    except ConfigurationError as error:
        raise ConfigurationError(f"{error}, or an existing directory") from error


def connect_for_batch(target: str, outage_wait_s: float) -> tuple[Detector, ModelInfo]:
    """Makes a detector for a run over many files, and asks it once which model answers.

    Nobody watches such a run, so a server that is away or overloaded later is waited for. Where the servers have
    several releases, as during a rollout, each file's result says which one scored it.

    Args:
        target: See `create_detector`.
        outage_wait_s: How long each request waits for a server that is away or overloaded.

    Raises:
        ConfigurationError: The target, or a DEEPFAKE_CLIENT_ variable, makes no sense, or an extra is missing.
        ServiceError: No server answers now.
    """
    try:
        settings = ClientSettings(outage_wait_s=outage_wait_s, overload_wait_s=outage_wait_s)
    except ValidationError as error:
        raise ConfigurationError(f"a DEEPFAKE_CLIENT_ setting is wrong: {error}") from error
    try:
        detector = create_detector(target, settings)
    except ImportError as error:
        raise ConfigurationError(str(error)) from error
    try:
        return detector, detector.info(timeout_s=_CONNECT_TIMEOUT_S)
    except BaseException:
        detector.close()
        raise
