/** What makes a result unreliable. */

import { html } from "../shared/dom.js";

/** @typedef {import("../shared/types.js").Answer} Answer */

const WORDS = { critical: "Critical", warning: "Warning", info: "Note" };

/**
 * The findings, the worst first; null where there is none.
 * @param {Answer} answer
 * @returns {HTMLElement | null}
 */
export function findingList(answer) {
  const { findings } = answer.metadata;
  if (!findings.length) return null;
  const rows = findings.map(({ code, severity, message }) =>
    html("li", { class: severity, "data-code": code }, html("strong", {}, `${WORDS[severity]}: `), message),
  );
  return html("ul", { class: "findings", "aria-label": "What makes this result unreliable" }, ...rows);
}
