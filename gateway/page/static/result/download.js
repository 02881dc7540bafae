/** Hands the answer over as a file, made in the browser. */

import { html } from "../shared/dom.js";

/** @typedef {import("../shared/types.js").Answer} Answer */

/**
 * @param {Answer} answer
 * @param {string} fileName of the analysed file
 */
export function downloadJson(answer, fileName) {
  const blob = new Blob([JSON.stringify(answer, null, 2), "\n"], { type: "application/json" });
  const url = URL.createObjectURL(blob);
  html("a", { href: url, download: `${fileName}.result.json` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
