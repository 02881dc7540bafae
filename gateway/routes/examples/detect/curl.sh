# On an error, curl prints the JSON with its code and message, and exits with 22.
curl -sS --fail-with-body http://127.0.0.1:5000/detect \
  -H "Authorization: Bearer $API_KEY" \
  -F file=@photo.jpg
# Read metadata.statement (the verdict in words), confidence_score (the fake
# probability, 0-1) and metadata.findings (what weakens the result).
