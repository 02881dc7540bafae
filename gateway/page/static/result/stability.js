/** How far the score moves after changes that mean nothing. */

import { OUTCOME_BANDS, shownBand, sign } from "../shared/bands.js";
import { html } from "../shared/dom.js";
import { percent } from "../shared/format.js";

/** @typedef {import("../shared/types.js").Metadata} Metadata */

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
  const title = html("h3", { id: "stability-title" }, "Stability");
  const card = { class: "card stability", "aria-labelledby": "stability-title" };
  if (skipped) return html("section", card, title, html("p", { class: "aside" }, skipped));
  const lowest = Math.min(...faces.map((face) => face.lowest));
  const highest = Math.max(...faces.map((face) => face.highest));
  /** @param {number | undefined} p */
  const score = (p) => html("td", {}, p === undefined ? "" : html("span", { class: "score" }, sign(shownBand(p, metadata)), percent(p)));
  const rows = faces[0].variants.map(({ change }) =>
    html(
      "tr",
      {},
      html("th", { scope: "row" }, CHANGES[change] ?? change),
      ...faces.map((face) => score(face.variants.find((variant) => variant.change === change)?.fake_probability)),
    ),
  );
  const heads = faces.map((face) => html("th", { scope: "col" }, faces.length > 1 ? `Frame\u00a0${face.index}` : "Fake probability"));
  return html(
    "section",
    card,
    title,
    html("p", { class: "aside" }, `After small changes the deciding ${faces[0].face_box ? "face" : "picture"} scores ${percent(lowest)} to ${percent(highest)}.`),
    html(
      "table",
      { "aria-labelledby": "stability-title" },
      html("thead", {}, html("tr", {}, html("th", { scope: "col" }, "Change"), ...heads)),
      html("tbody", {}, html("tr", {}, html("th", { scope: "row" }, "Unchanged"), ...faces.map((face) => score(face.fake_probability))), ...rows),
    ),
  );
}
