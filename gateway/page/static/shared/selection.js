/** Which frame and which person the parts of a result show: one part sets it, all of them follow. */

/** @typedef {import("./types.js").Metadata} Metadata */
/** @typedef {import("./types.js").Frame} Frame */

/** Fires "change" for each choice, also of what is chosen already: a player that has moved on comes back to it. */
export class Selection extends EventTarget {
  /**
   * @param {number} frame The API's `index`, also of a further frame.
   * @param {number | null} person Null where whole pictures were judged.
   */
  constructor(frame, person) {
    super();
    this.frame = frame;
    this.person = person;
  }

  /** @param {{frame?: number, person?: number | null}} chosen */
  choose({ frame = this.frame, person = this.person }) {
    this.frame = frame;
    this.person = person;
    this.dispatchEvent(new Event("change"));
  }
}

/**
 * The deciding person in their most suspicious frame, with which a result is opened.
 * @param {Metadata} metadata
 * @returns {Selection}
 */
export function firstSelection(metadata) {
  const person = metadata.deciding_person ?? null;
  const scores = metadata.frame_predictions.map((frame) => probabilityOf(frame, person) ?? -1);
  const frame = metadata.frame_predictions[scores.indexOf(Math.max(...scores))];
  return new Selection(frame.index, person);
}

/**
 * The fake probability of a person in a frame; null where they are not seen. Without a person that of the frame.
 * @param {Frame} frame
 * @param {number | null} person
 * @returns {number | null}
 */
export function probabilityOf(frame, person) {
  if (person === null) return frame.fake_probability;
  return frame.faces.find((face) => face.person === person)?.fake_probability ?? null;
}
