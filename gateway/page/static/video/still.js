/** The picture of the selected frame with its faces, where the browser cannot play the file. */

import { faceMarks } from "../result/faces.js";
import { html } from "../shared/dom.js";
import { placeOf } from "./frames.js";

/** @typedef {import("../shared/selection.js").Selection} Selection */
/** @typedef {import("../shared/types.js").Frame} Frame */
/** @typedef {import("../shared/types.js").Metadata} Metadata */

/**
 * @param {Metadata} metadata
 * @param {Frame[]} frames
 * @param {Selection} selection
 * @returns {HTMLElement}
 */
export function still(metadata, frames, selection) {
  const element = html("div", { class: "player" });
  /** @type {Map<number, Element[]>} */
  const drawn = new Map();
  const show = () => {
    if (!drawn.has(selection.frame)) drawn.set(selection.frame, picture(metadata, frames, selection));
    element.replaceChildren(...drawn.get(selection.frame));
  };
  selection.addEventListener("change", show);
  show();
  return element;
}

/**
 * @param {Metadata} metadata
 * @param {Frame[]} frames
 * @param {Selection} selection
 * @returns {Element[]}
 */
function picture(metadata, frames, selection) {
  const frame = frames.find(({ index }) => index === selection.frame) ?? frames[0];
  const thumbnail = metadata.thumbnails.find(({ index }) => index === frame.index);
  if (!thumbnail) return [html("p", {}, "The answer holds no picture of this frame.")];
  const { image, width_px: width, height_px: height } = thumbnail;
  return [html("img", { class: height > width ? "tall" : "", src: image, alt: placeOf(frame, metadata, null), width, height }), faceMarks(frame, thumbnail, metadata, selection)];
}
