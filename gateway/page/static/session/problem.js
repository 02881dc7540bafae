/** What went wrong, in the API's words, and what to do about it. */

import { byId, html } from "../shared/dom.js";
import { Problem } from "./upload.js";
import { sign } from "../shared/bands.js";

const SMALLER = "Send a smaller image, or a shorter or more compressed video.";
const REPORT = "This is a fault of the service. Tell whoever runs it, with the request id.";

/** @type {Record<string, string>} */
const ADVICE = {
  UNSUPPORTED_MEDIA: "Choose a file of one of the formats that the page names, or convert this one first.",
  EMPTY_FILE: "The file holds nothing. Check that it was copied completely.",
  FILE_UNREADABLE: "Choose the file again.",
  FILE_TOO_LARGE: SMALLER,
  BODY_TOO_LARGE: SMALLER,
  IMAGE_TOO_LARGE: SMALLER,
  MEDIA_TOO_LARGE: SMALLER,
  MEDIA_DECODE_FAILED: "The file may be damaged or cut off. If it plays on your device, convert it to MP4 (H.264) and send that.",
  DECODE_TIMEOUT: SMALLER,
  NOTHING_SCORED: "The file was read, but nothing in it could be analysed. Open it in an image program, save it again and send that.",
  API_KEY_REQUIRED: "Enter your API key above, then try again.",
  API_KEY_INVALID: "Enter another API key above, then try again.",
  RATE_LIMITED: "Wait a moment, then try again.",
  KEYS_UNAVAILABLE: REPORT,
  OVERLOADED: "The service is busy. Try again in a moment.",
  MODEL_UNAVAILABLE: "The model is starting or being replaced. Try again in a minute.",
  PREPROCESS_UNAVAILABLE: "A part of the service is starting or being replaced. Try again in a minute.",
  RELEASES_DIFFER: "The model is being replaced. Try again in a minute.",
  MODEL_NOT_SERVED: "The model is starting or being replaced. Try again in a minute.",
  MODEL_FAULT: REPORT,
  INTERNAL: REPORT,
  CONFIGURATION: REPORT,
  DEADLINE: "The analysis took too long. Try again, or send a shorter video or a smaller file.",
  UNREACHABLE: "Check your connection and whether the service runs, then try again.",
};

/**
 * @param {Problem} problem
 * @param {string} fileName
 * @param {() => void} retry
 */
export function showProblem(problem, fileName, retry) {
  const again = html("button", { type: "button", class: "button primary" }, "Try again");
  again.addEventListener("click", retry);
  const details = [["File", fileName], ["Code", html("code", {}, problem.code)]];
  if (problem.requestId) details.push(["Request id", html("code", {}, problem.requestId)]);
  const advice = ADVICE[problem.code] ?? "Send another file, or report the code and the request id to whoever runs the service.";
  byId("problem").replaceChildren(
    html("h2", { id: "problem-title", tabindex: "-1" }, sign("fake"), problem.title),
    html("p", { class: "message" }, problem.message),
    html("p", {}, html("strong", {}, "What to do: "), advice),
    reasons(problem),
    html("dl", { class: "facts" }, ...details.map(([term, value]) => html("div", {}, html("dt", {}, term), html("dd", {}, value)))),
    problem.mayPass ? again : "",
  );
  byId("problem").hidden = false;
}

/** Takes the last one away. */
export function hideProblem() {
  byId("problem").hidden = true;
  byId("problem").replaceChildren();
}

/** Why frames were not scored, each reason once. @param {Problem} problem */
function reasons(problem) {
  const statuses = new Set(problem.frames.map((frame) => frame.status));
  return statuses.size ? html("p", {}, "Frames were not scored: ", html("code", {}, [...statuses].join(", "))) : "";
}
