/** A video over time. */

import { timeline } from "./timeline.js";

/** @typedef {import("../shared/types.js").Entry} Entry */
/** @typedef {import("../shared/selection.js").Selection} Selection */

/**
 * @param {Entry} entry
 * @param {Selection} selection
 * @returns {HTMLElement}
 */
export function workbench(entry, selection) {
  return timeline(entry.answer);
}
