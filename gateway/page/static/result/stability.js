/** How far the score moves after changes that mean nothing. */

import { OUTCOME_BANDS, shownBand, sign } from "../shared/bands.js";
import { html } from "../shared/dom.js";
import { percent } from "../shared/format.js";

/** @typedef {import("../shared/types.js").Metadata} Metadata */
/** @typedef {import("../shared/types.js").StableFace} StableFace */

/** @type {Record<string, string>} */
const CHANGES = {
  mirror: "Mirrored",
  jpeg_75: "Saved as JPEG of quality 75",
  "size_0.75": "Three quarters of the size",
  "brightness_0.8": "0.8 of the brightness",
  "margin_1.2": "Crop 1.2 times as wide",
};

/**
 * What the deciding face scores after small changes; null where that was not examined.
 * @param {Metadata} metadata
 * @returns {HTMLElement | null}
 */
export function stabilityCard(metadata) {
  const { faces = [], skipped = null } = metadata.stability ?? {};
  if (OUTCOME_BANDS[metadata.statement.outcome] === "none" || (!faces.length && !skipped)) return null;
  return html(
    "section",
    { class: "card stability", "aria-labelledby": "stability-title" },
    html("h3", { id: "stability-title" }, "Stability"),
    html("p", { class: "aside" }, skipped ? `Not examined. ${skipped}` : summary(faces)),
    skipped ? null : table(faces, metadata),
  );
}

/** @param {StableFace[]} faces */
function summary(faces) {
  const lowest = percent(Math.min(...faces.map((face) => face.lowest)));
  const highest = percent(Math.max(...faces.map((face) => face.highest)));
  return `After small changes the deciding ${faces[0].face_box ? "face" : "picture"} scores ${lowest} to ${highest}.`;
}

/**
 * A row for each change, a column for each frame.
 * @param {StableFace[]} faces
 * @param {Metadata} metadata
 */
function table(faces, metadata) {
  /** @param {number | undefined} p */
  const score = (p) =>
    p === undefined ? "" : html("span", { class: "score" }, sign(shownBand(p, metadata)), percent(p));
  /** @param {string} name @param {(face: StableFace) => number | undefined} scoreOf */
  const row = (name, scoreOf) =>
    html("tr", {}, html("th", { scope: "row" }, name), ...faces.map((face) => html("td", {}, score(scoreOf(face)))));
  const heads = faces.map(({ index }) => (faces.length > 1 ? `Frame\u00a0${index}` : "Fake probability"));
  const rows = faces[0].variants.map(({ change }) =>
    row(CHANGES[change] ?? change, ({ variants }) => variants.find((one) => one.change === change)?.fake_probability),
  );
  return html(
    "table",
    { "aria-labelledby": "stability-title" },
    html("thead", {}, html("tr", {}, ...["Change", ...heads].map((head) => html("th", { scope: "col" }, head)))),
    html("tbody", {}, row("Unchanged", (face) => face.fake_probability), ...rows),
  );
}
