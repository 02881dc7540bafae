"""OpenVINO is imported without its telemetry, whichever module of ours comes first."""

import subprocess
import sys

import pytest

from tests.service import ROOT

_PROGRAM = """
import sys, threading
__import__(sys.argv[1])
import openvino.tools.ovc, nncf
print(threading.enumerate() == [threading.main_thread()], sys.modules["openvino_telemetry"])
"""


@pytest.mark.parametrize(
    "module", ["runtime.openvino_core", "preprocessing.face_detection.direct_model", "export.graph.int8"]
)
def test_no_thread_tells_its_makers(module: str) -> None:
    command = [sys.executable, "-c", _PROGRAM, module]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120).stdout
    assert said.split() == ["True", "None"]
