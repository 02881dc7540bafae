// Uploads the clip to the service of `make serve`. Node 20 or newer, no packages.
import { readFile } from "node:fs/promises";

const form = new FormData();
form.append("file", new Blob([await readFile("examples/astronaut.mp4")]), "astronaut.mp4");
const response = await fetch("http://127.0.0.1:5000/detect", {
  method: "POST",
  body: form,
  signal: AbortSignal.timeout(30_000),
});
const answer = await response.json();
if (!response.ok) throw new Error(`${response.status} ${answer.code}: ${answer.message}`);
console.log(answer.result, answer.confidence_score, `${answer.metadata.faces_detected} faces`);
