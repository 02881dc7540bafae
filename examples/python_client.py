"""Scores the photo and the clip on the Triton server of `make serve`."""

from deepfake_client import DetectionError, create_detector

with create_detector("localhost:8001") as detector:
    for name in ("examples/astronaut.png", "examples/astronaut.mp4"):
        try:
            answer = detector.detect(name, timeout_s=30)
        except DetectionError as error:
            print(name, error.code, error)
        else:
            print(name, answer.result.value, f"{answer.confidence_score:.3f}", answer.model_version)
