/** The file that is uploaded or analysed now. */

import { byId, html } from "../shared/dom.js";
import { counted, size, time } from "../shared/format.js";

/** @typedef {import("./queue.js").Entry} Entry */
/** @typedef {import("./queue.js").Queue} Queue */

const TICK_MS = 100;

/** Shows the queue's running file, with a button that cancels it; the Escape key does, too. @param {Queue} queue */
export function showProgress(queue) {
  const title = html("h2", { id: "progress-title" });
  const bar = /** @type {HTMLProgressElement} */ (html("progress", { max: 1, "aria-labelledby": "progress-title" }));
  const phase = html("span");
  const clock = html("span", { class: "clock", role: "timer" });
  const rest = html("p");
  const preview = /** @type {HTMLImageElement} */ (html("img", { class: "preview", alt: "" }));
  preview.addEventListener("error", () => (preview.hidden = true));
  const hint = html("kbd", { "aria-hidden": "true" }, "Esc");
  const cancel = html("button", { id: "cancel", type: "button", class: "button", "aria-keyshortcuts": "Escape" }, "Cancel", hint);
  byId("progress").replaceChildren(preview, html("div", { class: "running" }, title, bar, html("p", {}, phase, clock), rest), cancel);

  const cancelRunning = () => queue.running && queue.cancel(queue.running);
  cancel.addEventListener("click", cancelRunning);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.isComposing && !event.defaultPrevented) cancelRunning();
  });

  let timer = 0;
  /** @param {Entry} entry */
  const begin = (entry) => {
    title.textContent = entry.name;
    preview.hidden = !entry.file.type.startsWith("image/");
    URL.revokeObjectURL(preview.src);
    if (!preview.hidden) preview.src = URL.createObjectURL(entry.file);
    byId("progress").hidden = false;
    clearInterval(timer);
    timer = setInterval(show, TICK_MS);
  };
  const show = () => {
    const entry = queue.running;
    if (!entry) return;
    const { sentBytes, startedMs, state, file } = entry;
    if (state === "uploading") bar.value = file.size ? sentBytes / file.size : 0;
    else bar.removeAttribute("value"); // it is not known how far an analysis is
    phase.textContent = state === "uploading" ? `Uploading: ${size(sentBytes)} of ${size(file.size)}` : "Analysing …";
    clock.textContent = time((performance.now() - startedMs) / 1000, 1);
    rest.textContent = queue.waiting ? `${counted(queue.waiting, "more file waits", "more files wait")}.` : "";
  };
  queue.on("added", show);
  queue.on("change", (entry) => {
    if (entry.state === "uploading") begin(entry);
    show();
  });
  queue.on("progress", show);
  queue.on("idle", () => {
    clearInterval(timer);
    byId("progress").hidden = true;
  });
}
