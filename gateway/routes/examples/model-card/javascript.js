// Reads the card of the model, in browsers and in Node 20: what it is for, and where it fails.
const response = await fetch("http://127.0.0.1:5000/model-card", { signal: AbortSignal.timeout(5_000) });
if (!response.ok) {
  const error = await response.json();
  throw new Error(`${response.status} ${error.code}: ${error.message}`);
}
console.log(await response.text());
