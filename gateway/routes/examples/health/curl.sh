# Exits with 22 where no inference can be served; `reason` of the answer says why.
curl -sS --fail-with-body http://127.0.0.1:5000/health
