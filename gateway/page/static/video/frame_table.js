/** Every frame as a row: the timeline for those who do not look at it. */

import { html } from "../shared/dom.js";
import { counted, percent, time } from "../shared/format.js";
import { bandOf } from "../shared/bands.js";

/** @typedef {import("../shared/types.js").Metadata} Metadata */
/** @typedef {import("../shared/types.js").Frame} Frame */

/**
 * Those spread over the video and the further ones, in the order of time.
 * @param {Metadata} metadata
 * @returns {Frame[]}
 */
export function allFrames(metadata) {
  const frames = [...metadata.frame_predictions, ...(metadata.further_frame_predictions ?? [])];
  return frames.sort((a, b) => a.timestamp_s - b.timestamp_s || a.index - b.index);
}

/**
 * @param {Metadata} metadata
 * @returns {HTMLElement}
 */
export function frameTable(metadata) {
  const rows = allFrames(metadata).map((frame) => row(frame, metadata.verdict_bands));
  const heads = ["Frame", "Time", "Fake probability", "Band", "Face"].map((text) => html("th", { scope: "col" }, text));
  return html(
    "details",
    { class: "frames" },
    html("summary", {}, `${counted(rows.length, "frame")} as a table`),
    html(
      "div",
      { class: "scroll", role: "region", "aria-label": "Table of frames", tabindex: "0" },
      html(
        "table",
        {},
        html("caption", { class: "visually-hidden" }, "Fake probability of each frame"),
        html("thead", {}, html("tr", {}, ...heads)),
        html("tbody", {}, ...rows),
      ),
    ),
  );
}

/**
 * @param {Frame} frame
 * @param {import("../shared/types.js").Bands} bands
 */
function row(frame, bands) {
  const p = frame.fake_probability;
  return html(
    "tr",
    {},
    html("th", { scope: "row" }, String(frame.index + 1)),
    html("td", {}, time(frame.timestamp_s)),
    html("td", {}, p === null ? "not scored" : percent(p)),
    html("td", {}, p === null ? frame.status : bandOf(p, bands)),
    html("td", {}, frame.face_box ? `found, ${frame.face_score.toFixed(2)}` : "none found"),
  );
}
