curl -sS --fail-with-body -o openapi.json http://127.0.0.1:5000/openapi.json
