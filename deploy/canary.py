"""A real inference that proves the service works, whatever its ready flags say."""

import io
import os

from PIL import Image

from client.errors import DetectionError
from client.scorer import OK, Deadline
from client.settings import ClientSettings
from client.triton import TritonScorer


class Canary:
    """Scores an image of random pixels through the ensemble: no cache has the answer."""

    def __init__(self, triton_url: str) -> None:
        """Connects at the first inference."""
        self._scorer = TritonScorer(triton_url, ClientSettings(attempts=1))

    def failure(self, timeout_s: float) -> str:
        """Runs one inference; returns why it failed, or "" if it succeeded."""
        pixels = Image.frombytes("RGB", (64, 64), os.urandom(64 * 64 * 3))
        buffer = io.BytesIO()
        pixels.save(buffer, format="PNG")
        try:
            (score,) = self._scorer.score([buffer.getvalue()], Deadline(timeout_s), "canary")
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
