# On an error, curl prints the JSON with its code and message, and exits with 22.
curl -sS --fail-with-body \
  -H "Authorization: Bearer $API_KEY" \
  http://127.0.0.1:5000/metrics
