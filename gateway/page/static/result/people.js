/** Whose faces were judged: the faces of an image, the people of a video. */

import { BAND_WORDS, shownBand, sign } from "../shared/bands.js";
import { choice } from "../shared/choice.js";
import { html } from "../shared/dom.js";
import { counted, percent, period } from "../shared/format.js";

/** @typedef {import("../shared/types.js").Face} Face */
/** @typedef {import("../shared/types.js").Metadata} Metadata */
/** @typedef {import("../shared/types.js").Person} Person */

/**
 * The most suspicious first; null where nobody has a face.
 * @param {Metadata} metadata
 * @param {import("../shared/selection.js").Selection} selection
 * @returns {HTMLElement | null}
 */
export function peopleCard(metadata, selection) {
  const isVideo = metadata.input_type === "video";
  const people = [...metadata.people].sort((a, b) => b.fake_probability - a.fake_probability);
  const unscored = isVideo ? [] : metadata.frame_predictions[0].faces.filter((face) => face.person === null);
  if (!people.length && !unscored.length) return null;
  const several = people.length > 1;
  const rows = people.map((person) => {
    const row = html("span", { class: "person" }, crop(person, metadata), words(person, metadata));
    return several ? choice(selection, { person: person.person }, row) : row;
  });
  const faces = counted(people.length + unscored.length, "face");
  const where = isVideo ? ` in ${several ? "their" : "the"} most suspicious frame` : "";
  return html(
    "section",
    { class: "card people-card", "aria-labelledby": "people-title" },
    html("h3", { id: "people-title" }, isVideo ? counted(people.length, "person", "people") : faces),
    people.length && !metadata.models ? html("p", { class: "aside" }, `As the model saw ${several ? "each" : "it"}${where}.`) : null,
    html("ul", {}, ...[...rows, ...unscored.map(unscoredFace)].map((row) => html("li", {}, row))),
  );
}

/**
 * @param {Person} person
 * @param {Metadata} metadata
 */
function crop({ person }, { crops = [] }) {
  const found = crops.find((one) => one.person === person);
  return found ? html("img", { src: found.image, alt: "", width: found.width_px, height: found.height_px }) : null;
}

/**
 * @param {Person} seen
 * @param {Metadata} metadata
 */
function words(seen, metadata) {
  const { person, fake_probability: p, frames, first_s: first, last_s: last, largest_face_px: sidePx } = seen;
  const { input_type: kind, people, deciding_person: decider } = metadata;
  const band = shownBand(p, metadata);
  const times = first === null || last === null ? "" : `, ${period(first, last)}`;
  const badge = person === decider ? html("span", { class: "badge" }, "decides") : null;
  return html(
    "span",
    {},
    people.length > 1 ? html("span", { class: "who" }, html("strong", {}, `Person ${person}`), badge) : null,
    html("span", { class: "score" }, sign(band), percent(p), html("span", { class: "word" }, BAND_WORDS[band])),
    html("small", {}, kind === "video" ? `in ${counted(frames, "frame")}${times}` : faceSize(sidePx)),
  );
}

/** @param {Face} face */
function unscoredFace({ face_box: [x0, y0, x1, y1] }) {
  const size = html("small", {}, faceSize(Math.min(x1 - x0, y1 - y0)));
  return html("span", { class: "person unjudged" }, html("span", {}, "Not judged, too small or too many", size));
}

/** @param {number} sidePx The shorter side. */
const faceSize = (sidePx) => `face of ${sidePx.toFixed(0)}\u00a0px`;
