"""Triton's glue around the `runtime` package; the requests of a dynamic batch are computed together."""

import json
import sys
import traceback
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils

from runtime import INPUTS, OUTPUTS, load_classifier, usable_cores
from runtime.process import keep_large_blocks, show_crashes, show_where_stuck


class TritonPythonModel:
    """Serves PIXELS, STATUS -> FAKE_PROBABILITY, PROBABILITIES, EXPORT_ID."""

    def initialize(self, args):
        """Loads the classifier, with an equal share of the cores for each instance unless the config says otherwise."""
        keep_large_blocks()
        show_crashes()
        self._starting = ExitStack()
        self._starting.enter_context(show_where_stuck())
        config = json.loads(args["model_config"])
        instances = sum(group["count"] for group in config["instance_group"])
        cores = int(config["parameters"]["cores_per_instance"]["string_value"])
        self._classifier = load_classifier(Path(__file__).parent, cores or max(usable_cores() // instances, 1))

    def execute(self, requests):
        """Concatenates the requests, classifies once and splits the answer."""
        try:
            batches = [[pb_utils.get_input_tensor_by_name(r, name).as_numpy() for r in requests] for name in INPUTS]
            pixels, status = (np.concatenate(parts) if len(parts) > 1 else parts[0] for parts in batches)
            results = self._classifier.run(pixels, status)
            self._starting.close()  # with the warm-up's answer; does nothing after that
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

    def finalize(self):
        """Frees the model."""
        self._classifier.close()
