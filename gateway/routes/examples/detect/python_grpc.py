"""Judges a photo or a video on the Triton server itself. Install the client with `pip install ./client`."""

from deepfake_client import DetectionError, create_detector

with create_detector("localhost:8001") as detector:
    try:
        answer = detector.detect("photo.jpg", timeout_s=30)
    except DetectionError as error:
        raise SystemExit(f"{error.code}: {error}") from None
statement = answer.details.statement
print(statement.headline, statement.explanation, sep="\n")
print(f"Fake probability: {answer.confidence_score:.1%}")
for finding in answer.details.findings:
    print(f"{finding.severity}: {finding.message}")
