// Scores a video whose frames lie below the service's media root, in browsers and in Node 20.
const API_KEY = "your API key";
const response = await fetch("http://127.0.0.1:5000/api/v1/inference", {
  method: "POST",
  headers: {
    Authorization: `Bearer ${API_KEY}`,
    "Content-Type": "application/json",
  },
  body: JSON.stringify({
    mediaType: "VIDEO",
    extractedFrames: ["clip/00.jpg", "clip/01.jpg"],
    include: ["findings"],
  }),
  signal: AbortSignal.timeout(30_000),
});
const answer = await response.json();
if (!response.ok) throw new Error(`${response.status} ${answer.code}: ${answer.message}`);
console.log(`Risk: ${answer.risk_score} of 100. Mean fake probability: ${answer.mean_risk} %`);
for (const finding of answer.findings) console.log(`${finding.severity}: ${finding.message}`);
