"""How long to wait before a process is started once more."""

import time

_PAUSES_S = (0.0, 1.0, 2.0, 5.0, 10.0, 30.0)
_STABLE_S = 60.0  # a process that ran this long starts its back-off anew


class Backoff:
    """Pauses that grow while a process keeps failing."""

    def __init__(self) -> None:
        self._count = 0
        self._started_at = 0.0

    def started(self) -> None:
        """The process was started now."""
        self._started_at = time.monotonic()

    def running_s(self) -> float:
        """Time since it was started."""
        return time.monotonic() - self._started_at

    def pause_s(self) -> float:
        """How long to wait now that it has failed."""
        if self.running_s() > _STABLE_S:
            self._count = 0
        self._count += 1
        return _PAUSES_S[min(self._count - 1, len(_PAUSES_S) - 1)]
