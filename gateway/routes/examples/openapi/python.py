"""Lists the routes of the service."""

import requests

response = requests.get("http://127.0.0.1:5000/openapi.json", timeout=5)
response.raise_for_status()
for path, methods in response.json()["paths"].items():
    for method, operation in methods.items():
        print(method.upper(), path, operation["summary"])
