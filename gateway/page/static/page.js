/** The page: from a chosen file to its result or to what went wrong. One file at a time. */

import { watchForFiles } from "./session/chooser.js";
import { byId } from "./shared/dom.js";
import { size } from "./shared/format.js";
import { refreshHealth, watchHealth } from "./session/health.js";
import { showNotice } from "./session/notice.js";
import { hideProblem, showProblem } from "./session/problem.js";
import { ProgressPanel } from "./session/progress.js";
import { hideResult, showResult } from "./result/result.js";
import { detect, Problem } from "./session/upload.js";
import { verdictSentence } from "./result/verdict.js";

const MAX_BODY_BYTES = Number(document.body.dataset.maxBodyBytes);
const MAX_IMAGE_BYTES = Math.min(Number(document.body.dataset.maxImageBytes), MAX_BODY_BYTES);

/** @type {AbortController | null} */
let running = null;
/** @type {ProgressPanel | null} */
let panel = null;
let previewUrl = "";

byId("max-image").textContent = size(MAX_IMAGE_BYTES);
byId("max-video").textContent = size(MAX_BODY_BYTES);
watchHealth();
watchForFiles(analyse, refuseFolder);

/**
 * @param {File} file
 * @param {number} [ignored] How many other files came with it.
 */
async function analyse(file, ignored = 0) {
  const controller = takeTurn();
  previewUrl = file.type.startsWith("image/") ? URL.createObjectURL(file) : "";
  try {
    requireFit(file);
    const shown = (panel = new ProgressPanel(file, previewUrl, announce, () => controller.abort()));
    if (ignored) announce(`One file at a time: ${file.name} was taken, ${ignored} left out.`);
    const { answer, requestId } = await detect(file, {
      onProgress: (sentBytes, totalBytes) => shown.sent(sentBytes, totalBytes),
      onSent: () => shown.analysing(),
      signal: controller.signal,
      apiKey: typedKey(),
    });
    if (running !== controller) return;
    shown.end();
    showNotice(answer.metadata.model.trained, answer.metadata.model.notice);
    showResult({ file, answer, requestId, previewUrl });
    announce(verdictSentence(answer));
  } catch (error) {
    if (running !== controller) return; // another file has taken its place
    panel?.end();
    fail(error, controller, file);
  }
}

/** The API key from its field, which is there where the service wants one. */
function typedKey() {
  const field = document.querySelector("#api-key");
  return field instanceof HTMLInputElement ? field.value.trim() : "";
}

/** Ends what runs and clears what is shown. */
function takeTurn() {
  running?.abort();
  panel?.end();
  hideProblem();
  hideResult();
  URL.revokeObjectURL(previewUrl);
  document.body.classList.add("used");
  return (running = new AbortController());
}

/**
 * @param {unknown} error
 * @param {AbortController} controller
 * @param {File} file
 */
function fail(error, controller, file) {
  if (controller.signal.aborted) {
    announce("Cancelled.");
    byId("file").focus();
    return;
  }
  if (!(error instanceof Problem)) throw error;
  announce("");
  showProblem(error, file.name, () => analyse(file));
  if (error.status === 0 || error.status >= 500) refreshHealth();
}

/**
 * Refuses what the service would refuse, before it is sent: a server that stops reading looks like a lost connection.
 * @param {File} file
 */
function requireFit(file) {
  const limit = file.type.startsWith("image/") ? MAX_IMAGE_BYTES : MAX_BODY_BYTES;
  if (file.size <= limit) return;
  throw new Problem({
    title: "Too large",
    message: `The file holds ${size(file.size)}; at most ${size(limit)} are taken. It was not sent.`,
    code: "FILE_TOO_LARGE",
  });
}

/** @param {string} name */
function refuseFolder(name) {
  takeTurn();
  const said = { title: "A folder", message: "Folders are not taken. Nothing was sent.", code: "FOLDER" };
  showProblem(new Problem(said), name, () => {});
}

/** Tells screen readers. @param {string} text */
function announce(text) {
  byId("announcer").textContent = text;
}
