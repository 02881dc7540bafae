/** The page: from chosen files over the queue to the result of the one that is open, or to what went wrong with it. */

import { announceChanges } from "./session/announcements.js";
import { watchForFiles } from "./session/chooser.js";
import { FileList } from "./session/file_list.js";
import { onlyMedia } from "./session/folder.js";
import { refreshHealth, watchHealth } from "./session/health.js";
import { showNotice } from "./session/notice.js";
import { hideProblem, showProblem } from "./session/problem.js";
import { showProgress } from "./session/progress.js";
import { Queue } from "./session/queue.js";
import { typedKey } from "./shared/api_key.js";
import { byId } from "./shared/dom.js";
import { size } from "./shared/format.js";
import { hideResult, showResult } from "./result/result.js";

/** @typedef {import("./session/queue.js").Entry} Entry */

const maxBodyBytes = Number(document.body.dataset.maxBodyBytes);
const maxImageBytes = Math.min(Number(document.body.dataset.maxImageBytes), maxBodyBytes);
byId("max-image").textContent = size(maxImageBytes);
byId("max-video").textContent = size(maxBodyBytes);

const queue = new Queue({ maxBodyBytes, maxImageBytes }, typedKey);
const list = new FileList(queue, (entry) => open(entry, true));
/** @type {Entry | null} Whose result or problem is shown. */
let opened = null;
/** @type {Element | null} What had the focus last. A browser takes it away from what is hidden. */
let focused = null;

document.addEventListener("focusin", ({ target }) => (focused = /** @type {Element} */ (target)));
watchHealth();
announceChanges(queue);
showProgress(queue);
watchForFiles(take, hint);

queue.on("added", (entries) => {
  document.body.classList.add("used");
  if (queue.isIdle) queueMicrotask(() => byId("cancel").focus()); // it is shown by then
  if (queue.isIdle || entries.includes(opened)) close();
});
queue.on("change", (entry) => {
  const { answer, problem } = entry;
  if (answer) showNotice(answer.metadata.model.trained, answer.metadata.model.notice);
  if (problem?.mayPass) refreshHealth();
  const isAlone = queue.batch.size === 1;
  if (!opened && (answer || (problem && isAlone))) open(entry, isAlone);
  keepFocus();
});
queue.on("idle", keepFocus);

/** @param {Entry[]} entries */
function take(entries) {
  const { media, leftOut } = onlyMedia(entries);
  const suffixes = [...leftOut].map(([suffix, count]) => `${count} ${suffix}`).join(", ");
  const without = suffixes && `Left out, as neither an image nor a video: ${suffixes}.`;
  hint(media.length ? without : `No image and no video was found. ${without}`);
  if (media.length) queue.add(media);
}

/**
 * Shows what became of a file.
 * @param {Entry} entry One that is done or failed.
 * @param {boolean} takeFocus
 */
function open(entry, takeFocus) {
  close();
  opened = entry;
  list.mark(entry);
  if (entry.problem) {
    showProblem(entry.problem, entry.name, () => queue.tryAgain([entry]));
  } else {
    entry.previewUrl = URL.createObjectURL(entry.file);
    showResult(/** @type {import("./shared/types.js").Entry} */ (entry));
  }
  if (takeFocus) byId(entry.problem ? "problem-title" : "result-title").focus();
}

/** Takes away what is open. */
function close() {
  if (opened) URL.revokeObjectURL(opened.previewUrl);
  opened = null;
  list.mark(null);
  hideProblem();
  hideResult();
  keepFocus();
}

/** Moves the focus on, where what had it is no longer shown. */
function keepFocus() {
  const isNowhere = [document.body, focused].includes(document.activeElement);
  if (focused && isNowhere && !focused.checkVisibility()) {
    byId(byId("files").hidden ? "file" : "files-title").focus({ preventScroll: true });
  }
}

/** Says something about what was dropped, chosen or pasted. @param {string} text */
function hint(text) {
  byId("hint").textContent = text;
}
