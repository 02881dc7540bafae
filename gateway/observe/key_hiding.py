"""Keeps API keys out of the logs, wherever a caller has put them: into the address, or into a header that is none."""

import logging
import re

_LIKE_A_KEY = re.compile(r"dfk_[A-Za-z0-9_-]{8,}")


class HideKeys(logging.Filter):
    """Takes what looks like a key out of each record: its message and its request id, which callers choose.

    For handlers, which see the records of all loggers.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Lets every record pass."""
        message = record.getMessage()
        if _LIKE_A_KEY.search(message):
            record.msg, record.args = _LIKE_A_KEY.sub("dfk_...", message), None
        if request_id := getattr(record, "request_id", None):
            record.request_id = _LIKE_A_KEY.sub("dfk_...", request_id)
        return True
