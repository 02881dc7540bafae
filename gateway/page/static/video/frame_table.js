/** Every sampled frame as a row: the timeline for those who do not look at it. */

import { BAND_WORDS, shownBand } from "../shared/bands.js";
import { html } from "../shared/dom.js";
import { counted, percent, time } from "../shared/format.js";
import { probabilityOf } from "../shared/selection.js";
import { forEachPerson } from "./frames.js";

/** @typedef {import("../shared/selection.js").Selection} Selection */
/** @typedef {import("../shared/types.js").Frame} Frame */
/** @typedef {import("../shared/types.js").Metadata} Metadata */

const HEADS = ["Frame", "Time", "Person", "Fake probability", "Band"];

/**
 * @param {Frame[]} frames In the order of time.
 * @param {Selection} selection Of whose person the table speaks.
 * @param {Metadata} metadata
 * @returns {HTMLElement}
 */
export function frameTable(frames, selection, metadata) {
  const body = html("tbody");
  forEachPerson(selection, (person) => body.replaceChildren(...frames.map((frame) => row(frame, person, metadata))));
  return html(
    "details",
    { class: "frames" },
    html("summary", {}, `${counted(frames.length, "frame")} as a table`),
    html(
      "div",
      { class: "scroll", role: "region", "aria-label": "Table of frames", tabindex: "0" },
      html(
        "table",
        {},
        html("caption", { class: "visually-hidden" }, "Fake probability of each frame"),
        html("thead", {}, html("tr", {}, ...HEADS.map((text) => html("th", { scope: "col" }, text)))),
        body,
      ),
    ),
  );
}

/**
 * @param {Frame} frame
 * @param {number | null} person
 * @param {Metadata} metadata
 */
function row(frame, person, metadata) {
  const p = probabilityOf(frame, person);
  const whose = person ?? frame.faces[0]?.person ?? null;
  return html(
    "tr",
    {},
    html("th", { scope: "row" }, String(frame.index)),
    html("td", {}, time(frame.timestamp_s)),
    html("td", {}, whose === null ? "none" : String(whose)),
    html("td", {}, p !== null ? percent(p) : frame.fake_probability === null ? "not scored" : "not seen"),
    html("td", {}, p !== null ? BAND_WORDS[shownBand(p, metadata)] : frame.fake_probability === null ? frame.status : ""),
  );
}
