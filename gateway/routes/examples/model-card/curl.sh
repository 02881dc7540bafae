# On an error, curl prints the JSON with its code and message, and exits with 22.
curl -sS --fail-with-body http://127.0.0.1:5000/model-card
