/** The card that hands a result over: as an evidence report, which the service makes anew, or as JSON. */

import { typedKey } from "../shared/api_key.js";
import { html } from "../shared/dom.js";
import { saveFile } from "../shared/save.js";

/** @typedef {import("../shared/types.js").Entry} Entry */

/**
 * @param {Entry} entry
 * @returns {HTMLElement}
 */
export function reportCard({ file, answer }) {
  const make = html("button", { class: "button primary" }, "Download report");
  const cancel = html("button", { type: "button", class: "button", hidden: true }, "Cancel");
  const json = html("button", { type: "button", class: "button" }, "Download result as JSON");
  const status = html("p", { role: "status" });
  const problem = html("p", { class: "failure", role: "alert" });
  const form = /** @type {HTMLFormElement} */ (
    html(
      "form",
      { class: "report-form" },
      html("label", {}, "Case number (optional)", html("input", { name: "case_number", autocomplete: "off" })),
      html("label", {}, "Note (optional)", html("textarea", { name: "note", rows: 2 })),
      html("label", { class: "with-map" }, html("input", { type: "checkbox", name: "include", value: "sensitivity" }), "With a map of what moves the score (slower)"),
      html("p", { class: "actions" }, make, cancel, json),
    )
  );
  let controller = new AbortController();

  /** @param {boolean} isRunning */
  function show(isRunning) {
    const hadFocus = form.contains(document.activeElement);
    make.hidden = isRunning;
    cancel.hidden = !isRunning;
    if (hadFocus) (isRunning ? cancel : make).focus();
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    controller = new AbortController();
    problem.textContent = "";
    status.textContent = "Making the report …";
    show(true);
    try {
      const { text, releaseId } = await fetchReport(form, file, controller.signal);
      saveFile(`${file.name}.report.html`, text, "text/html");
      status.textContent = `Saved as ${file.name}.report.html. ${differs(releaseId, answer.metadata.model.release_id)}`;
    } catch (error) {
      status.textContent = controller.signal.aborted ? "Cancelled. There is no report." : "";
      if (!controller.signal.aborted) problem.textContent = error instanceof Refusal ? error.message : UNREACHABLE;
    }
    show(false);
  });
  cancel.addEventListener("click", () => controller.abort());
  json.addEventListener("click", () =>
    saveFile(`${file.name}.result.json`, `${JSON.stringify(answer, null, 2)}\n`, "application/json"),
  );
  return html(
    "section",
    { class: "card report", "aria-labelledby": "report-title" },
    html("h3", { id: "report-title" }, "Report"),
    html("p", { class: "aside" }, "One HTML file to read, print and pass on. It shows pictures of the file, and so of the people in it. The file is sent and analysed once more. Case number and note go into the report and are stored nowhere else."),
    form,
    status,
    problem,
  );
}

const UNREACHABLE = "The service cannot be reached, or the file was moved or changed. Try again.";

/** What the service answered in place of a report; the message is for people. */
class Refusal extends Error {}

/**
 * @param {HTMLFormElement} form
 * @param {File} file
 * @param {AbortSignal} signal
 * @returns {Promise<{text: string, releaseId: string}>} Rejects with a Refusal, or as fetch does.
 */
async function fetchReport(form, file, signal) {
  const apiKey = typedKey();
  const body = new FormData(form);
  body.append("file", file);
  /** @type {Record<string, string>} */
  const headers = { Accept: "text/html" };
  if (apiKey) headers.Authorization = `Bearer ${apiKey}`;
  const response = await fetch("detect", { method: "POST", headers, body, signal });
  const text = await response.text();
  const releaseId = response.headers.get("X-Release-ID");
  if (response.ok && releaseId) return { text, releaseId };
  throw new Refusal(said(text, response.status));
}

/**
 * What an error says, in the API's words where it is one of the API's.
 * @param {string} text
 * @param {number} status
 */
function said(text, status) {
  try {
    const { error, message, code, request_id: requestId } = JSON.parse(text);
    if (message) return `${error}: ${message} (${code}, request ${requestId})`;
  } catch {
    // not the API's
  }
  return `The answer did not come from the detection service (HTTP ${status}).`;
}

/**
 * @param {string} releaseId of the report
 * @param {string} shownId of the result on the page
 */
function differs(releaseId, shownId) {
  if (releaseId === shownId) return "";
  return `The model was replaced in the meantime: the report is by release ${releaseId}, the result shown here by ${shownId}. Their figures may differ.`;
}
