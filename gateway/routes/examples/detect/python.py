"""Judges a photo or a video."""

from pathlib import Path

import requests

API_KEY = "your API key"
response = requests.post(
    "http://127.0.0.1:5000/detect",
    headers={"Authorization": f"Bearer {API_KEY}"},
    files={"file": Path("photo.jpg").read_bytes()},
    timeout=30,
)
answer = response.json()
if not response.ok:
    raise SystemExit(f"{response.status_code} {answer['code']}: {answer['message']}")
statement = answer["metadata"]["statement"]
print(statement["headline"], statement["explanation"], sep="\n")
print(f"Fake probability: {answer['confidence_score']:.1%}")
for finding in answer["metadata"]["findings"]:
    print(f"{finding['severity']}: {finding['message']}")
