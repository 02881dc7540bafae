"""Real inferences that prove the service works, whatever its ready flags say."""

import threading

from client.canary import canary_image
from client.errors import DetectionError
from client.scorer import OK, Deadline
from client.settings import ClientSettings
from client.triton_scorer import TritonScorer

CANARY_TIMEOUT_S = 10.0
_FAILURES = 2  # in a row, before the server counts as broken
_EAGER_S = 0.2  # pause between canaries until the first success, and after a failure


class Canary:
    """Scores an image of random pixels through the ensemble: no cache has the answer."""

    def __init__(self, triton_url: str) -> None:
        """Connects at the first inference."""
        self._scorer = TritonScorer(triton_url, ClientSettings(attempts=1))

    def failure(self, timeout_s: float = CANARY_TIMEOUT_S) -> str:
        """Runs one inference; returns why it failed, or "" if it succeeded."""
        try:
            (score,) = self._scorer.score([canary_image()], Deadline(timeout_s), "canary").scores
        except DetectionError as error:
            return str(error)
        return "" if score.status == OK else f"the canary image got status {score.status}"

    def completed_requests(self) -> int | None:
        """Requests the server has answered successfully, None if it does not say: progress under overload."""
        try:
            return self._scorer.completed_requests(timeout_s=2.0)
        except DetectionError:
            return None

    def close(self) -> None:
        """Closes the connection."""
        self._scorer.close()


class Prober(threading.Thread):
    """Canaries in a thread, so that one that waits delays neither a stop nor the watch over processes.

    Attributes:
        answered: Set by the first success.
        failure: Why the server counts as broken; "" while it does not.
    """

    def __init__(self, triton_url: str, interval_s: float) -> None:
        """Probes nothing yet.

        Args:
            triton_url: host:port of Triton's gRPC endpoint.
            interval_s: Pause between canaries, once one has succeeded.
        """
        super().__init__(name="prober", daemon=True)
        self.answered = threading.Event()
        self.failure = ""
        self._canary = Canary(triton_url)
        self._interval_s = interval_s
        self._stopping = threading.Event()

    def run(self) -> None:
        """Probes until `stop`."""
        failures = 0
        while not self._stopping.wait(self._interval_s if self.answered.is_set() and not failures else _EAGER_S):
            before = self._canary.completed_requests()
            reason = self._canary.failure()
            if not reason:
                failures = 0
                self.answered.set()
            elif self.answered.is_set():
                # An overloaded server may keep a canary waiting while it answers others: that is no fault.
                failures = 0 if self._progressed(before) else failures + 1
                self.failure = f"fails canary inferences ({reason})" if failures >= _FAILURES else ""
        self._canary.close()

    def stop(self) -> None:
        """Ends the thread soon; a canary in flight is left behind."""
        self._stopping.set()

    def _progressed(self, before: int | None) -> bool:
        after = self._canary.completed_requests()
        return before is not None and after is not None and after > before
