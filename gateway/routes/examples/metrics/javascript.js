// Shows how many of each verdict there have been since the start, in browsers and in Node 20.
const API_KEY = "your API key";
const response = await fetch("http://127.0.0.1:5000/metrics", {
  headers: { Authorization: `Bearer ${API_KEY}` },
  signal: AbortSignal.timeout(5_000),
});
if (!response.ok) {
  const error = await response.json();
  throw new Error(`${response.status} ${error.code}: ${error.message}`);
}
for (const line of (await response.text()).split("\n")) {
  if (line.startsWith("deepfake_gateway_verdicts_total")) console.log(line);
}
