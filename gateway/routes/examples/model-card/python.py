"""Reads the card of the model: what it is for, and where it fails."""

import requests

response = requests.get("http://127.0.0.1:5000/model-card", timeout=5)
if not response.ok:
    error = response.json()
    raise SystemExit(f"{response.status_code} {error['code']}: {error['message']}")
print(response.text)
