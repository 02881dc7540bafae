"""Shows how many of each verdict there have been since the start."""

import requests

API_KEY = "your API key"
response = requests.get(
    "http://127.0.0.1:5000/metrics",
    headers={"Authorization": f"Bearer {API_KEY}"},
    timeout=5,
)
if not response.ok:
    error = response.json()
    raise SystemExit(f"{response.status_code} {error['code']}: {error['message']}")
for line in response.text.splitlines():
    if line.startswith("deepfake_gateway_verdicts_total"):
        print(line)
