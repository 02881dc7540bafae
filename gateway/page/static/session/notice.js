/** The model's notice, above everything else. */

import { byId } from "../shared/dom.js";

/**
 * @param {boolean | undefined} trained
 * @param {string | undefined} notice
 */
export function showNotice(trained, notice) {
  if (trained !== false && !notice) {
    if (trained) byId("notice").hidden = true;
    return;
  }
  byId("notice-title").textContent = trained === false ? "Demonstration model: its scores are no verdict" : "Notice";
  byId("notice-text").textContent = notice || "The weights are untrained. What the model answers means nothing.";
  byId("notice").hidden = false;
}
