// Judges a photo or a video, in browsers and in Node 20. The file is a Blob:
// - in a page: document.querySelector("input[type=file]").files[0]
// - in Node: await openAsBlob("photo.jpg"), from "node:fs"
const API_KEY = "your API key";
async function detect(file) {
  const form = new FormData();
  form.append("file", file);
  const response = await fetch("http://127.0.0.1:5000/detect", {
    method: "POST",
    headers: { Authorization: `Bearer ${API_KEY}` },
    body: form,
    signal: AbortSignal.timeout(30_000),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(`${response.status} ${answer.code}: ${answer.message}`);
  const { statement, findings } = answer.metadata;
  console.log(`${statement.headline}\n${statement.explanation}`);
  console.log(`Fake probability: ${(100 * answer.confidence_score).toFixed(1)} %`);
  for (const finding of findings) console.log(`${finding.severity}: ${finding.message}`);
}
