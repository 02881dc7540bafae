"""The one OpenVINO core of this process."""

import threading
from typing import Any

import openvino

from runtime.signal_stack import signal_stack_restored

_LOCK = threading.Lock()
_CORES: list[Any] = []


def openvino_core() -> Any:
    """The process's `openvino.Core`. It is made at the first call and never freed.

    One core for all models costs less, and no freed core can take the signal stack of its thread along
    (`runtime.signal_stack`).
    """
    with _LOCK:
        if not _CORES:
            with signal_stack_restored():
                core = openvino.Core()
                core.get_property("CPU", "FULL_DEVICE_NAME")  # loads the plugin, which registers the stack
            _CORES.append(core)
        return _CORES[0]
