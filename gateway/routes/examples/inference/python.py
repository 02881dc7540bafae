"""Scores a video whose frames lie below the service's media root."""

import requests

API_KEY = "your API key"
response = requests.post(
    "http://127.0.0.1:5000/api/v1/inference",
    headers={"Authorization": f"Bearer {API_KEY}"},
    json={"mediaType": "VIDEO", "extractedFrames": ["clip/00.jpg", "clip/01.jpg"], "include": ["findings"]},
    timeout=30,
)
answer = response.json()
if not response.ok:
    raise SystemExit(f"{response.status_code} {answer['code']}: {answer['message']}")
print(f"Risk: {answer['risk_score']} of 100. Mean fake probability: {answer['mean_risk']} %")
for finding in answer["findings"]:
    print(f"{finding['severity']}: {finding['message']}")
