"""Asks whether an inference can be served now. The status 503 has the same JSON, with a `reason`."""

import requests

response = requests.get("http://127.0.0.1:5000/health", timeout=5)
health = response.json()
print(health["status"], health["model"], health.get("reason") or "")
raise SystemExit(not response.ok)
