"""Triton's glue around `runtime.fusion`: the fake probabilities of several classifiers to one."""

import sys
import traceback
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils

from runtime import OUTPUTS, FusionSpec
from runtime.classifier import MEMBERS_OUTPUT
from runtime.process import show_crashes


class TritonPythonModel:
    """Serves FAKE_PROBABILITY_1, EXPORT_ID_1, ... -> the outputs of a classifier, and MEMBER_PROBABILITIES."""

    def initialize(self, _args):
        """Loads the formula."""
        show_crashes()
        self._spec = FusionSpec.load(Path(__file__).parent)

    def execute(self, requests):
        """Answers each request on its own."""
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        try:
            members, export_ids = (self._columns(request, name) for name in ("FAKE_PROBABILITY", "EXPORT_ID"))
            fused = self._spec.fused(members, export_ids)
        except Exception as error:
            # An uncaught exception would send its traceback to the client.
            print(traceback.format_exc(), file=sys.stderr, flush=True)
            failure = pb_utils.TritonError(f"fusion failed: {type(error).__name__}", pb_utils.TritonError.INTERNAL)
            return pb_utils.InferenceResponse(output_tensors=[], error=failure)
        named = {**dict(zip(OUTPUTS, fused, strict=True)), MEMBERS_OUTPUT: members}
        return pb_utils.InferenceResponse([pb_utils.Tensor(name, values) for name, values in named.items()])

    def _columns(self, request, name):
        """(N, M): the output of each classifier."""
        numbers = range(1, len(self._spec.weights) + 1)
        columns = [pb_utils.get_input_tensor_by_name(request, f"{name}_{number}").as_numpy() for number in numbers]
        return np.concatenate(columns, axis=1)
