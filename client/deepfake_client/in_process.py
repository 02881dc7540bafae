"""Detection without a server: the same preprocessing and the same exported graph, in this process.

Only this module of the client imports the preprocessing and runtime packages, and only `create_detector` imports it,
when it is given a directory. It needs the extras `preprocessing` and `cpu`, and `export` for a checkpoint.
"""

import hashlib
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from deepfake_client.errors import ConfigurationError, DeadlineExceededError, DetectorClosedError
from deepfake_client.forks import never_freed, renew_after_fork
from deepfake_client.pictures import Box
from deepfake_client.release import MANIFEST, Manifest, ModelInfo, first_fault
from deepfake_client.scorer import Deadline, FrameScore, ModelOutputs, Scoring

T = TypeVar("T")

_BATCH = 8
_Prepared = tuple[tuple[NDArray[np.uint8], ...], int, NDArray[np.float32]]
"""The squares of an image, its status and faces."""


class InProcessScorer:
    """Scores frames with a release's own graph and parameters. Thread-safe.

    In a process that was forked, whose libraries lack their threads, the model is loaded anew at the first call.
    """

    def __init__(self, release: Path) -> None:
        """Loads a release.

        Args:
            release: Folder made by deepfake-export.

        Raises:
            ConfigurationError: The folder is no complete release, or an extra is not installed.
        """
        try:
            self._info = Manifest.model_validate_json((release / MANIFEST).read_bytes()).model_info()
        except OSError as error:
            raise ConfigurationError(f"{release} is no release of deepfake-export: {error.strerror}") from error
        except ValidationError as error:
            raise ConfigurationError(
                f"{release} is no release of this deepfake-export ({first_fault(error)}): export it again"
            ) from error
        self._release = release
        self._closed = False
        self._lock = threading.Lock()
        self._model: Future[_Model] | None = Future()
        self._model.set_result(_Model(release, self._info))
        renew_after_fork(self)

    def after_fork(self) -> None:
        """See `deepfake_client.forks.Forkable`."""
        never_freed(self._model)
        self._model = None
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return InProcessScorer, (self._release,)

    @classmethod
    def open(cls, directory: Path) -> "InProcessScorer":
        """Opens a release, the current release of a folder of releases, or a checkpoint, which is exported first.

        Raises:
            ConfigurationError: The directory is none of these, or the export refused it.
        """
        if (directory / MANIFEST).is_file():
            return cls(directory.resolve())
        if (directory / "current" / MANIFEST).is_file():
            return cls((directory / "current").resolve())
        if any((directory / name).is_file() for name in ("config.json", "fusion.json")):
            return cls(_export(directory))
        raise ConfigurationError(
            f"{directory} holds neither a release (release.json) nor a checkpoint (config.json or fusion.json)"
        )

    def info(self, deadline: Deadline) -> ModelInfo:
        """The release's description."""
        if self._closed:
            raise DetectorClosedError
        return self._info

    def score(
        self,
        images: Sequence[bytes],
        deadline: Deadline,
        request_id: str = "",
        face_boxes_px: Sequence[Box | None] | None = None,
    ) -> Scoring:
        """Scores encoded images. See `FrameScorer.score`."""
        boxes = face_boxes_px or [None] * len(images)
        return Scoring(self._info, self._loaded(deadline).score(list(zip(images, boxes, strict=True)), deadline))

    def server_id(self, deadline: Deadline) -> str:
        """See `FrameScorer.server_id`."""
        return ""

    def close(self) -> None:
        """Ends the threads and frees the model; every later call fails."""
        with self._lock:
            self._closed = True
            if self._model is not None and self._model.exception() is None:
                self._model.result().close()

    def _loaded(self, deadline: Deadline) -> "_Model":
        """The model of this process. Loading it goes on when the deadline passes, for the next call."""
        with self._lock:
            if self._closed:
                raise DetectorClosedError
            if self._model is None:
                loader = ThreadPoolExecutor(1, thread_name_prefix="deepfake-load")
                self._model = loader.submit(_Model, self._release, self._info)
                loader.shutdown(wait=False)
            loading = self._model
        return _within(deadline, loading)


class _Model:
    """A release that is loaded, and the threads that prepare images for it."""

    def __init__(self, release: Path, info: ModelInfo) -> None:
        try:
            import simplejpeg  # noqa: F401 - `preprocessing` itself imports it as late as it decodes

            from preprocessing import PREPROCESSING_VERSION, Preparer, PreprocessParams
            from runtime import ClassifierLoadError, FusionSpec, load_classifier, usable_cores
        except ImportError as error:
            if error.path and error.name in ("preprocessing", "runtime"):
                raise ConfigurationError(
                    f"{error.path} hides the package {error.name} of deepfake-serving: give it another name"
                ) from error
            raise ConfigurationError(
                f"packages are missing ({error}): pip install ./client '.[preprocessing,cpu]' in the checkout"
            ) from error
        if info.preprocessing_version != PREPROCESSING_VERSION:
            raise ConfigurationError(
                f"{release} was made with preprocessing version {info.preprocessing_version}: export it again"
            )
        entry = release / "model_repository" / "preprocess" / "1"
        params = PreprocessParams.load(entry / "preprocess.json")
        try:
            repository, count = release / "model_repository", len(info.members)
            names = [f"classifier_{number}" for number in range(1, count + 1)] or ["classifier"]
            self._classifiers = [load_classifier(repository / name / "1") for name in names]
            self._fusion = FusionSpec.load(repository / "fusion" / "1") if count else None
        except ClassifierLoadError as error:
            raise ConfigurationError(str(error)) from error
        self._info = info
        # A preparer belongs to one thread, so each thread of the pool makes its own.
        self._local = threading.local()
        self._preparers: list[Any] = []
        self._make_preparer: Callable[[], Any] = lambda: Preparer(params, entry)
        self._pool = ThreadPoolExecutor(usable_cores(), thread_name_prefix="deepfake-prepare")
        self._sizes_px = [view.resize.size_px for view in params.views]

    def score(self, images: Sequence[tuple[bytes, Box | None]], deadline: Deadline) -> list[FrameScore]:
        """One score per image and face box, in order."""
        waiting = [self._pool.submit(self._prepare, image, box, deadline) for image, box in images]
        try:
            prepared = [_within(deadline, future) for future in waiting]
        finally:
            for future in waiting:
                future.cancel()
        scores: list[FrameScore] = []
        for start in range(0, len(prepared), _BATCH):
            deadline.remaining_s()
            scores += self._classify(prepared[start : start + _BATCH])
        return scores

    def close(self) -> None:
        """Ends the threads and frees the model."""
        self._pool.shutdown()
        for preparer in self._preparers:
            preparer.close()
        self._preparers.clear()
        for classifier in self._classifiers:
            classifier.close()

    def _prepare(self, encoded: bytes, face_box_px: Box | None, deadline: Deadline) -> _Prepared:
        """Pixels, status and faces of one image, as Triton's preprocess model computes them."""
        from preprocessing import MAX_FACES, ImageRejectedError
        from preprocessing import Box as PixelBox

        deadline.remaining_s()
        if not hasattr(self._local, "preparer"):
            self._local.preparer = self._make_preparer()
            self._preparers.append(self._local.preparer)
        faces = np.full((MAX_FACES, 5), np.nan, np.float32)
        try:
            prepared = self._local.preparer.prepare(encoded, PixelBox(*face_box_px) if face_box_px else None)
        except ImageRejectedError as error:
            blank = tuple(np.zeros((size_px, size_px, 3), np.uint8) for size_px in self._sizes_px)
            return blank, int(error.status), faces
        for row, face in enumerate(prepared.faces):
            faces[row] = (face.box.x0, face.box.y0, face.box.x1, face.box.y1, face.score)
        return (prepared.pixels, *prepared.further), 0, faces

    def _classify(self, prepared: Sequence[_Prepared]) -> list[FrameScore]:
        squares, statuses, faces = zip(*prepared, strict=True)
        status, views = np.array(statuses, np.int32), [np.stack(view) for view in zip(*squares, strict=True)]
        seen = self._fusion.views if self._fusion else (0,)
        answers = [
            classifier.run(views[view], status[:, None])
            for classifier, view in zip(self._classifiers, seen, strict=True)
        ]
        (fake, probabilities, export_id), members = answers[0], None
        if self._fusion:
            members = np.concatenate([answer.fake_probability for answer in answers], axis=1)
            export_ids = np.concatenate([answer.export_id for answer in answers], axis=1)
            fake, probabilities, export_id = self._fusion.fused(members, export_ids)
        outputs = ModelOutputs(
            statuses=status,
            fake_probabilities=fake[:, 0],
            probabilities=probabilities,
            faces=np.stack(faces),
            export_ids=export_id[:, 0],
            members=members,
        )
        return outputs.scores(self._info)


def _within(deadline: Deadline, future: "Future[T]") -> T:
    try:
        return future.result(timeout=deadline.remaining_s())
    except FutureTimeoutError:
        raise DeadlineExceededError(f"no answer within {deadline.timeout_s:g} s") from None


def _export(checkpoint: Path) -> Path:
    """Exports a checkpoint to the user's cache with `deepfake-export`, which is quick where it is already exported."""
    from assets import default_cache_dir

    path = str(checkpoint.resolve())
    releases = default_cache_dir() / "in-process" / hashlib.sha256(path.encode()).hexdigest()[:16]
    # -P keeps Python from importing a file called export.py out of the current directory.
    command = [sys.executable, "-P", "-m", "export", "--checkpoint", str(checkpoint), "--releases-dir", str(releases)]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        reason = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "")
        raise ConfigurationError(f"{checkpoint} cannot be exported: {reason}")
    return (releases / "current").resolve()
