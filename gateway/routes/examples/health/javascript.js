// Asks whether an inference can be served now, in browsers and in Node 20.
// The status 503 has the same JSON, with a `reason`.
const response = await fetch("http://127.0.0.1:5000/health", { signal: AbortSignal.timeout(5_000) });
const health = await response.json();
console.log(health.status, health.model, health.reason ?? "");
