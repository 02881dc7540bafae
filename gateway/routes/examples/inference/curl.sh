# On an error, curl prints the JSON with its code and message, and exits with 22.
curl -sS --fail-with-body http://127.0.0.1:5000/api/v1/inference \
  -H "Authorization: Bearer $API_KEY" \
  -H "Content-Type: application/json" \
  -d '{"mediaType": "VIDEO", "extractedFrames": ["clip/00.jpg", "clip/01.jpg"], "include": ["findings"]}'
# Read risk_score and mean_risk (0-100), and findings (what weakens the result).
