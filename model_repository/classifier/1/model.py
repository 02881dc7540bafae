"""Runs the exported ONNX graph with onnxruntime; the requests of a dynamic batch are computed together."""

import json
import sys
import traceback
from pathlib import Path

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils

INPUTS = ("PIXELS", "STATUS")
OUTPUTS = ("FAKE_PROBABILITY", "PROBABILITIES", "EXPORT_ID")


class TritonPythonModel:
    """Serves PIXELS, STATUS -> FAKE_PROBABILITY, PROBABILITIES, EXPORT_ID."""

    def initialize(self, args):
        """Loads the graph with one thread per instance unless the config says otherwise."""
        parameters = json.loads(args["model_config"])["parameters"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(parameters["intra_op_threads"]["string_value"])
        options.inter_op_num_threads = 1
        # Spinning threads would take the cores from the other instances.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            str(Path(__file__).with_name("model.onnx")), options, providers=["CPUExecutionProvider"]
        )

    def execute(self, requests):
        """Concatenates the requests, runs the graph once and splits the answer."""
        try:
            batches = [[pb_utils.get_input_tensor_by_name(r, name).as_numpy() for r in requests] for name in INPUTS]
            feed = {name: np.concatenate(parts) for name, parts in zip(INPUTS, batches, strict=True)}
            results = self._session.run(OUTPUTS, feed)
        except Exception as error:
            # An uncaught exception would send its traceback to the client.
            print(traceback.format_exc(), file=sys.stderr, flush=True)
            failure = pb_utils.TritonError(f"inference failed: {type(error).__name__}", pb_utils.TritonError.INTERNAL)
            return [pb_utils.InferenceResponse(output_tensors=[], error=failure) for _ in requests]
        ends = np.cumsum([len(part) for part in batches[0]])[:-1]
        split = [np.split(values, ends) for values in results]
        return [
            pb_utils.InferenceResponse([pb_utils.Tensor(n, v) for n, v in zip(OUTPUTS, values, strict=True)])
            for values in zip(*split, strict=True)
        ]
