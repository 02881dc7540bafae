/** Pictures of frames, with every face drawn: the analysed image, and the frames of a video that matter. */

import { shownBand, sign } from "../shared/bands.js";
import { choice } from "../shared/choice.js";
import { html } from "../shared/dom.js";
import { counted, percent, time } from "../shared/format.js";
import { probabilityOf } from "../shared/selection.js";
import { faceMarks } from "./faces.js";

/** @typedef {import("../shared/types.js").Entry} Entry */
/** @typedef {import("../shared/types.js").Frame} Frame */
/** @typedef {import("../shared/types.js").Metadata} Metadata */
/** @typedef {import("../shared/types.js").Thumbnail} Thumbnail */
/** @typedef {import("../shared/selection.js").Selection} Selection */

/**
 * The image as the browser shows the file; its thumbnail where the browser cannot.
 * @param {Entry} entry
 * @param {Selection} selection
 * @returns {HTMLElement | null}
 */
export function analysedImage({ answer: { metadata }, previewUrl }, selection) {
  const [frame] = metadata.frame_predictions;
  const [thumbnail] = metadata.thumbnails;
  if (!previewUrl && !thumbnail) return null;
  const found = frame.faces.length ? `${counted(frame.faces.length, "face")} marked` : "no face found";
  const image = html("img", { src: previewUrl || thumbnail.image, alt: `The analysed image, ${found}` });
  if (thumbnail) image.addEventListener("error", () => image.setAttribute("src", thumbnail.image), { once: true });
  return html(
    "section",
    { class: "card", "aria-label": "The image" },
    html("div", { class: "picture" }, image, thumbnail ? faceMarks(frame, thumbnail, metadata, selection) : null),
  );
}

/**
 * The frames that matter, and why each does. A click selects the frame.
 * @param {Metadata} metadata
 * @param {Selection} selection
 * @returns {HTMLElement | null}
 */
export function keyFrames(metadata, selection) {
  const thumbnails = metadata.thumbnails.filter((thumbnail) => thumbnail.reasons.length);
  if (!thumbnails.length) return null;
  const frames = new Map(metadata.frame_predictions.map((frame) => [frame.index, frame]));
  const items = thumbnails.map((thumbnail) => {
    const frame = /** @type {Frame} */ (frames.get(thumbnail.index));
    const shown = keyFrame(thumbnail, frame, metadata, selection);
    return html("li", {}, choice(selection, { frame: frame.index }, ...shown));
  });
  return html(
    "section",
    { class: "card", "aria-labelledby": "pictures-title" },
    html("h3", { id: "pictures-title" }, "Frames that matter"),
    html("ul", { class: "pictures" }, ...items),
  );
}

/**
 * @param {Thumbnail} thumbnail
 * @param {Frame} frame
 * @param {Metadata} metadata
 * @param {Selection} selection
 */
function keyFrame(thumbnail, frame, metadata, selection) {
  const { image, width_px: width, height_px: height } = thumbnail;
  const p = /** @type {number} */ (probabilityOf(frame, metadata.deciding_person) ?? frame.fake_probability);
  const marks = faceMarks(frame, thumbnail, metadata, selection);
  return [
    html("span", { class: "picture" }, html("img", { src: image, alt: "", width, height }), marks),
    html(
      "span",
      { class: "caption" },
      html("span", {}, `Frame ${frame.index} at ${time(frame.timestamp_s)}`),
      html("span", { class: "score" }, sign(shownBand(p, metadata)), percent(p)),
    ),
    html("small", {}, thumbnail.explanation),
  ];
}
