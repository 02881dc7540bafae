/** Tells screen readers how the queue gets on. */

import { byId } from "../shared/dom.js";
import { counted } from "../shared/format.js";
import { verdictSentence } from "../result/verdict.js";

/** @typedef {import("./queue.js").Entry} Entry */
/** @typedef {import("./queue.js").Queue} Queue */

const ANNOUNCED_SHARE = 0.25;

/** @param {string} text */
function announce(text) {
  byId("announcer").textContent = text;
}

/** @param {Queue} queue */
export function announceChanges(queue) {
  const { batch } = queue;
  let announcedShare = 0;

  queue.on("added", (entries) => {
    if (batch.size > 1) announce(`${counted(entries.length, "file")} added to the queue.`);
  });
  queue.on("progress", ({ file, sentBytes }) => {
    const share = sentBytes / file.size;
    if (batch.size > 1 || share === 1 || share < announcedShare + ANNOUNCED_SHARE) return;
    announcedShare = share;
    announce(`${Math.round(share * 100)} % uploaded`);
  });
  queue.on("change", (entry) => {
    announcedShare = 0;
    const said = batch.size > 1 ? inQueue(entry, [...batch]) : alone(entry);
    if (said) announce(said);
  });
  queue.on("idle", () => {
    if (batch.size > 1) announce(`${byId("announcer").textContent} No file waits any more.`);
  });
}

/** @param {Entry} entry */
function alone({ answer, name, state }) {
  if (state === "uploading") return `Uploading ${name}`;
  if (state === "analysing") return "Uploaded. Analysing …";
  if (state === "cancelled") return "Cancelled.";
  return answer ? verdictSentence(answer) : " "; // what went wrong is an alert of its own
}

/**
 * @param {Entry} entry
 * @param {Entry[]} batch
 */
function inQueue({ answer, name, problem, state }, batch) {
  const ended = `${batch.filter((one) => !one.isPending).length} of ${batch.length}: ${name}.`;
  if (state === "cancelled") return `${ended} Cancelled.`;
  if (problem) return `${ended} Failed: ${problem.title}.`;
  return answer ? `${ended} ${verdictSentence(answer)}` : "";
}
