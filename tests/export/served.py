"""An exported classifier beside transformers' own pipeline."""

from pathlib import Path

import numpy as np
from transformers import pipeline

from export.checkpoint.hub import locate_checkpoint
from export.gate.images import varied_images
from export.run import export_checkpoint
from export.settings import ExportSettings
from preprocessing import PreprocessParams, resize_to_square
from runtime import load_classifier


def greatest_dp(checkpoint: Path, releases: Path) -> float:
    """Largest difference of a fake probability between the exported classifier and transformers' pipeline.

    Raises:
        ExportError: The export refuses the checkpoint.
    """
    settings = ExportSettings(releases, parity_images=8, face_detection=False)
    release = export_checkpoint(locate_checkpoint(str(checkpoint)), settings)
    images = list(varied_images(8, seed=5))
    params = PreprocessParams.load(release.repository / "preprocess" / "1" / "preprocess.json")
    squares = np.stack([resize_to_square(np.asarray(image), params.resize) for image in images])
    classifier = load_classifier(release.repository / "classifier" / "1")
    ours = classifier.run(squares, np.zeros((len(squares), 1), np.int32)).fake_probability[:, 0]
    classifier.close()
    theirs = pipeline("image-classification", model=str(checkpoint), use_fast=False)(images, top_k=None)
    fake = release.info.fake_labels
    return float(np.abs(ours - [sum(row["score"] for row in rows if row["label"] in fake) for rows in theirs]).max())
