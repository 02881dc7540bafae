"""A plain Flask + transformers service: one process, a transformers pipeline, PyTorch on all cores.

`gunicorn "benchmark.contenders.plain_server:create_app()"`, with PLAIN_CHECKPOINT (directory), PLAIN_MEDIA_ROOT and
PLAIN_BATCH_SIZE (frames in one batch) in the environment. Pillow opens the frames. They are cropped to the largest face
by the models and the rule of our service, so both answer the same probabilities. Several requests prepare frames at
once; the model takes one request at a time.
"""

import io
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from flask import Flask, Response, abort, jsonify, request
from PIL import Image, ImageOps

from assets import FACE_MODELS, fetch_assets
from deepfake_client.media import MediaType
from deepfake_client.scores import media_scores, sample_indices
from export.checkpoint.hub import locate_checkpoint
from export.checkpoint.load import load_checkpoint
from preprocessing import FaceDetector, FaceFinder, crop_square
from runtime import usable_cores


class FaceCrops:
    """Cuts frames to their largest face; each thread has detectors of its own."""

    def __init__(self, crop_factor: float) -> None:
        self._factor = crop_factor
        self._models_dir = next(iter(fetch_assets(FACE_MODELS).values())).parent
        self._of_thread = threading.local()

    def open(self, encoded: bytes) -> Image.Image:
        """Decodes a frame and cuts its largest face; the whole frame if there is none."""
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(encoded))).convert("RGB")
        if not hasattr(self._of_thread, "finder"):
            self._of_thread.finder = FaceFinder(self._models_dir, detector=FaceDetector.MEDIAPIPE)
        face = self._of_thread.finder.largest_face(np.array(image))
        if face is None:
            return image
        square = crop_square(face.box, image.width, image.height, self._factor)
        return image.crop((square.x0, square.y0, square.x0 + square.side, square.y0 + square.side))


def create_app() -> Flask:
    """The application; loads the model."""
    import torch
    from transformers import pipeline

    torch.set_num_threads(usable_cores())
    checkpoint = load_checkpoint(locate_checkpoint(os.environ["PLAIN_CHECKPOINT"]))
    root = Path(os.environ["PLAIN_MEDIA_ROOT"]).resolve()
    classify = pipeline("image-classification", model=checkpoint.model, image_processor=checkpoint.processor)
    head = checkpoint.head
    at = {label: index for index, label in checkpoint.model.config.id2label.items()}
    crops, turn = FaceCrops(checkpoint.sidecar.crop_factor), threading.Lock()
    options = {"batch_size": int(os.environ["PLAIN_BATCH_SIZE"]), "top_k": None, "function_to_apply": "none"}
    app = Flask(__name__)

    def fake_probabilities(images: Sequence[Image.Image]) -> list[float]:
        with turn:
            answers = classify(list(images), **options)
        logits = np.array(
            [[row["score"] for row in sorted(rows, key=lambda row: at[row["label"]])] for rows in answers]
        )
        return [float(p) for p in head.fake_probability(np.exp(head.log_probabilities(logits)))]

    def read(path: str) -> bytes:
        file = (root / path).resolve()
        if not (file.is_relative_to(root) and file.is_file()):
            abort(422)
        return file.read_bytes()

    @app.post("/predict")
    def predict() -> Response:
        return jsonify(fake_probability=fake_probabilities([crops.open(request.get_data())])[0])

    @app.post("/api/v1/inference")
    def infer() -> Response:
        started = time.monotonic()
        body = request.get_json()
        media_type = MediaType(body["mediaType"].lower())
        paths = body["extractedFrames"] if media_type is MediaType.VIDEO else body["extractedFrames"][:1]
        images = [crops.open(read(paths[index])) for index in sample_indices(len(paths))]
        return jsonify(
            **media_scores(fake_probabilities(images), media_type).rounded(),
            model_version=body.get("modelVersion", "v2"),
            inference_time=round((time.monotonic() - started) * 1000),
        )

    return app
