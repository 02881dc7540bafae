"""Real inferences that prove the service works, whatever its ready flags say.

Random pixels prove that a server answers. Golden images, where the release has any, prove that it answers right.
"""

import threading
from collections.abc import Sequence

from deepfake_client.errors import DetectionError
from deepfake_client.pictures import canary_image
from deepfake_client.scorer import OK, Deadline, NoObserver
from deepfake_client.settings import ClientSettings
from deepfake_client.triton.endpoint import TritonEndpoint
from deepfake_client.triton.scorer import TritonScorer
from deepfake_client.triton.stages import CLASSIFIER, PREPROCESS, pixels_of
from deepfake_client.triton.target import parse_target
from export.golden import GoldenSet

CANARY_TIMEOUT_S = 10.0
GOLDEN_TIMEOUT_S = 60.0
_LARGEST_BATCH = 32  # of one request
_FAILURES = 2  # in a row, before the server counts as broken
_EAGER_S = 0.2  # pause between canaries until the first success, and after a failure


class Canary:
    """Scores an image of random pixels through the ensemble: no cache has the answer."""

    _progress_of = CLASSIFIER  # requests of the ensemble, and those of a preprocess pool's clients

    def __init__(self, triton_url: str, golden: GoldenSet | None = None, request_id: str = "canary") -> None:
        """Connects at the first inference.

        Args:
            triton_url: host:port of Triton's gRPC endpoint.
            golden: Of the release that it should serve; None if that has none.
            request_id: Of every request: a server that is not proved yet answers only the one that its gate names.
        """
        self._request_id = request_id
        settings = ClientSettings(attempts=1, chunk_frames=_LARGEST_BATCH, preprocess_url="")
        self._scorer = TritonScorer(triton_url, settings)
        self._golden = golden

    def failure(self, timeout_s: float = CANARY_TIMEOUT_S, images: int = 1) -> str:
        """Runs one inference, with so many images; returns why it failed, or "" if it succeeded."""
        try:
            statuses = self._statuses([canary_image() for _ in range(images)], timeout_s)
        except DetectionError as error:
            return str(error)
        bad = next((status for status in statuses if status != OK), "")
        return f"the canary image got status {bad}" if bad else ""

    def batch_failure(self, batches: Sequence[int]) -> str:
        """Why one of these batches, each a request of its own, was not scored; "" if all were."""
        for images in batches:
            if reason := self.failure(GOLDEN_TIMEOUT_S, images):
                return f"a batch of {images} was not scored: {reason}"
        return ""

    def golden_mismatch(self, timeout_s: float = GOLDEN_TIMEOUT_S) -> str:
        """Scores the golden images; returns why they prove the release wrong, "" if they do not or there are none.

        Raises:
            DetectionError: There was no answer, so that nobody knows.
        """
        if self._golden is None:
            return ""
        scores = self._scorer.score(list(self._golden.images), Deadline(timeout_s), self._request_id).scores
        answers = [score.status if score.fake_probability is None else score.fake_probability for score in scores]
        return self._golden.mismatch(answers)

    def completed_requests(self) -> int | None:
        """Requests the server has answered successfully, None if it does not say: progress under overload."""
        try:
            return self._scorer.completed_requests(2.0, self._progress_of)
        except DetectionError:
            return None

    def close(self) -> None:
        """Closes the connection."""
        self._scorer.close()

    def _statuses(self, images: Sequence[bytes], timeout_s: float) -> list[str]:
        return [score.status for score in self._scorer.score(images, Deadline(timeout_s), self._request_id).scores]


class PreprocessCanary(Canary):
    """Has an image of random pixels preprocessed, by a server that does nothing else. It needs no golden images."""

    _progress_of = PREPROCESS

    def __init__(self, triton_url: str, golden: GoldenSet | None = None, request_id: str = "canary") -> None:
        """See `Canary`."""
        super().__init__(triton_url, golden, request_id)
        settings = ClientSettings(preprocess_url="")
        self._endpoint = TritonEndpoint(parse_target(triton_url), settings, NoObserver())

    def _statuses(self, images: Sequence[bytes], timeout_s: float) -> list[str]:
        question = pixels_of([(image, None) for image in images])
        prepared = self._endpoint.ask(question, timeout_s, self._request_id).answer()
        return [OK if status == 0 else str(status) for status in prepared.statuses.tolist()]

    def close(self) -> None:
        """Closes the connections."""
        super().close()
        self._endpoint.close()


class Prober(threading.Thread):
    """Canaries in a thread, so that one that waits delays neither a stop nor the watch over processes.

    Attributes:
        answered: Set by the first success, that of every batch size and the golden images included.
        failure: Why the server counts as broken; "" while it does not.
        refusal: Why what it serves must not be served, however often it is started; "" while nothing shows that.
    """

    def __init__(
        self,
        canary: Canary,
        interval_s: float,
        batches: Sequence[int] = (),
    ) -> None:
        """Probes nothing yet.

        Args:
            canary: Run again and again; its golden images once, after the first success.
            interval_s: Pause between canaries, once one has succeeded.
            batches: Sizes of which one batch each is scored before the server counts as answering.
        """
        super().__init__(name="prober", daemon=True)
        self.answered = threading.Event()
        self.failure = ""
        self.refusal = ""
        self._canary = canary
        self._interval_s = interval_s
        self._batches = [images for images in batches if images > 1]  # a canary is a batch of one
        self._stopping = threading.Event()

    def run(self) -> None:
        """Probes until `stop`."""
        failures = 0
        while not self._stopping.wait(self._interval_s if self.answered.is_set() and not failures else _EAGER_S):
            before = self._canary.completed_requests()
            reason = self._canary.failure()
            if not reason and not self.answered.is_set():
                reason = self._canary.batch_failure(self._batches) or self._golden_failure()
            if not reason:
                failures = 0
                self.answered.set()
            elif self.refusal:
                break
            elif self.answered.is_set():
                # An overloaded server may keep a canary waiting while it answers others: that is no fault.
                failures = 0 if self._progressed(before) else failures + 1
                self.failure = f"fails canary inferences ({reason})" if failures >= _FAILURES else ""
        self._canary.close()

    def stop(self) -> None:
        """Ends the thread soon; a canary in flight is left behind."""
        self._stopping.set()

    def _golden_failure(self) -> str:
        """Why the golden images do not let the server count as answering, or ""."""
        try:
            self.refusal = self._canary.golden_mismatch()
        except DetectionError as error:
            return str(error)
        return self.refusal

    def _progressed(self, before: int | None) -> bool:
        after = self._canary.completed_requests()
        return before is not None and after is not None and after > before
