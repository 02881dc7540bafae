"""Triton's glue around the `preprocessing` package: one status per image, and never an exception for a bad one."""

import sys
import time
import traceback
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils

from preprocessing import MAX_FACES, PREPROCESSING_VERSION, Box, ImageRejectedError, Preparer, PreprocessParams, Status
from runtime.classifier import pixels_name
from runtime.process import keep_large_blocks, show_crashes, show_where_stuck
from runtime.start_gate import StartGate


class _TimeUpError(Exception):
    """Nobody waits for the answer any more."""


class TritonPythonModel:
    """Serves IMAGE and, where a face is known, FACE -> PIXELS, STATUS, FACES, FACE_BOX, FACE_SCORE, EXPORT_ID."""

    def initialize(self, _args):
        """Loads the release's parameters and face models, which lie beside this file."""
        keep_large_blocks()
        show_crashes()
        self._gate = StartGate()
        folder = Path(__file__).parent
        version = int((folder / "preprocessing_version").read_text())
        if version != PREPROCESSING_VERSION:
            raise RuntimeError(
                f"this release was exported with preprocessing version {version}, and version {PREPROCESSING_VERSION} "
                "is installed: export it again, or install the matching deepfake-serving"
            )
        self._export_id = int((folder / "export_id").read_text())
        params = PreprocessParams.load(folder / "preprocess.json")
        self._sides = [view.resize.size_px for view in params.views]
        with show_where_stuck():
            self._preparer = Preparer(params, folder)

    def execute(self, requests):
        """Answers each request on its own; a bad image marks its own row only."""
        responses = []
        arrived = time.monotonic()
        for request in requests:
            if not self._gate.admits(request.request_id()):
                failure = pb_utils.TritonError("this server is still being proved", pb_utils.TritonError.UNAVAILABLE)
                responses.append(pb_utils.InferenceResponse(output_tensors=[], error=failure))
                continue
            try:
                responses.append(pb_utils.InferenceResponse(self._prepare_all(request, arrived)))
            except _TimeUpError:
                failure = pb_utils.TritonError("the request's timeout has passed", pb_utils.TritonError.UNAVAILABLE)
                responses.append(pb_utils.InferenceResponse(output_tensors=[], error=failure))
            except Exception as error:
                # An uncaught exception would fail every request of the dynamic batch and send the traceback out.
                print(traceback.format_exc(), file=sys.stderr, flush=True)
                failure = pb_utils.TritonError(
                    f"preprocessing failed: {type(error).__name__}", pb_utils.TritonError.INTERNAL
                )
                responses.append(pb_utils.InferenceResponse(output_tensors=[], error=failure))
        return responses

    def _prepare_all(self, request, arrived):
        timeout_us = request.timeout()  # 0: none. That the caller has gone does not show within an ensemble.
        images = pb_utils.get_input_tensor_by_name(request, "IMAGE").as_numpy().reshape(-1)
        count = len(images)
        given = pb_utils.get_input_tensor_by_name(request, "FACE")
        given = np.full((count, 4), np.nan, np.float32) if given is None else given.as_numpy()
        views = [np.zeros((count, side, side, 3), np.uint8) for side in self._sides]
        status = np.zeros((count, 1), np.int32)
        faces = np.full((count, MAX_FACES, 5), np.nan, np.float32)
        for i, image in enumerate(images):
            if timeout_us and time.monotonic() - arrived > timeout_us / 1e6:  # an image may take seconds
                raise _TimeUpError
            try:
                face_box = None if np.isnan(given[i]).all() else Box(*given[i].tolist())
                prepared = self._preparer.prepare(image, face_box)
            except ImageRejectedError as error:
                status[i] = error.status
                continue
            except Exception:
                print(traceback.format_exc(), file=sys.stderr, flush=True)
                status[i] = Status.INTERNAL
                continue
            for pixels, square in zip(views, (prepared.pixels, *prepared.further), strict=True):
                pixels[i] = square
            for row, face in enumerate(prepared.faces):
                faces[i, row] = (face.box.x0, face.box.y0, face.box.x1, face.box.y1, face.score)
        box, score = faces[:, 0, :4].copy(), np.nan_to_num(faces[:, 0, 4:])  # of the largest face; 0 without one
        named = {pixels_name(number): pixels for number, pixels in enumerate(views)}
        named |= {"STATUS": status, "FACES": faces, "FACE_BOX": box, "FACE_SCORE": score}
        named["EXPORT_ID"] = np.full((count, 1), self._export_id, np.int32)
        return [pb_utils.Tensor(name, values) for name, values in named.items()]

    def finalize(self):
        """Frees the face detectors."""
        self._preparer.close()
