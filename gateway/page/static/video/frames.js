/** The sampled frames of a video, and what is said of one. */

import { BAND_WORDS, shownBand } from "../shared/bands.js";
import { percent, time } from "../shared/format.js";
import { probabilityOf } from "../shared/selection.js";

/** @typedef {import("../shared/selection.js").Selection} Selection */
/** @typedef {import("../shared/types.js").Frame} Frame */
/** @typedef {import("../shared/types.js").Metadata} Metadata */

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
 * @param {Frame} frame
 * @param {Metadata} metadata
 * @param {number | null} person Of whom is spoken; named where there are several.
 * @returns {string}
 */
export function placeOf(frame, { people }, person) {
  return `Frame ${frame.index} at ${time(frame.timestamp_s)}${people.length > 1 ? `, person ${person}` : ""}`;
}

/**
 * What the model says of a person in a frame.
 * @param {Frame} frame
 * @param {number | null} person
 * @param {Metadata} metadata
 * @returns {string}
 */
export function scoreInWords(frame, person, metadata) {
  if (frame.fake_probability === null) return `not scored, ${frame.status}`;
  const p = probabilityOf(frame, person);
  if (p === null) return "not seen";
  const words = [`${percent(p)} fake probability`, BAND_WORDS[shownBand(p, metadata)], frame.faces.length ? "" : "no face found"];
  return words.filter(Boolean).join(", ");
}

/**
 * Draws for the selected person, at once and whenever it is another one.
 * @param {Selection} selection
 * @param {(person: number | null) => void} draw
 */
export function forEachPerson(selection, draw) {
  /** @type {number | null | undefined} */
  let drawn;
  const follow = () => {
    if (selection.person === drawn) return;
    drawn = selection.person;
    draw(drawn);
  };
  follow();
  selection.addEventListener("change", follow);
}
