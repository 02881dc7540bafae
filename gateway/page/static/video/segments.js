/** The stretches of a video above the fake band, to go to. */

import { html } from "../shared/dom.js";
import { edge, percent, period } from "../shared/format.js";
import { probabilityOf } from "../shared/selection.js";

/** @typedef {import("../shared/selection.js").Selection} Selection */
/** @typedef {import("../shared/types.js").Frame} Frame */
/** @typedef {import("../shared/types.js").Metadata} Metadata */
/** @typedef {import("../shared/types.js").Segment} Segment */

/**
 * @param {Metadata} metadata
 * @param {Frame[]} frames In the order of time.
 * @param {Selection} selection
 * @returns {HTMLElement | null} Null where there are none.
 */
export function segmentList({ segments = [], people, verdict_bands: bands }, frames, selection) {
  if (!segments.length) return null;
  const items = segments.map((segment) => {
    const inside = framesOf(segment, frames);
    const button = html("button", { type: "button", class: "button segment-button" }, describe(segment, people.length > 1));
    button.addEventListener("click", () => selection.choose({ frame: inside[0], person: segment.person }));
    const mark = () => {
      const isHere = selection.person === segment.person && inside.includes(selection.frame);
      button.setAttribute("aria-current", String(isHere));
    };
    selection.addEventListener("change", mark);
    mark();
    return html("li", {}, button);
  });
  return html(
    "section",
    { class: "segments", "aria-labelledby": "segments-title" },
    html("h4", { id: "segments-title" }, `Stretches above ${edge(bands.fake_above)}`),
    html("ul", {}, ...items),
  );
}

/** Indices of the frames of a segment. @param {Segment} segment @param {Frame[]} frames */
function framesOf({ start_s, end_s, person }, frames) {
  return frames
    .filter((frame) => frame.timestamp_s >= start_s && frame.timestamp_s <= end_s && probabilityOf(frame, person) !== null)
    .map((frame) => frame.index);
}

/**
 * @param {Segment} segment
 * @param {boolean} several Whether it has to be said whose it is.
 */
function describe({ start_s, end_s, person, mean_probability: mean }, several) {
  const whose = several ? `, person ${person}` : "";
  return `${period(start_s, end_s)}${whose}, mean ${percent(mean)}`;
}
