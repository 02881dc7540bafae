/** What each of several models says by itself. */

import { BAND_WORDS, shownBand, sign } from "../shared/bands.js";
import { html } from "../shared/dom.js";
import { percent } from "../shared/format.js";

/** @typedef {import("../shared/types.js").Metadata} Metadata */
/** @typedef {import("../shared/types.js").ModelScore} ModelScore */

/**
 * A row for each model; null where there is a single one.
 * @param {Metadata} metadata
 * @returns {HTMLElement | null}
 */
export function modelsCard(metadata) {
  const { models = [] } = metadata;
  if (!models.length) return null;
  const heads = ["Model", "Its score", "Weight"].map((head) => html("th", { scope: "col" }, head));
  return html(
    "section",
    { class: "card models", "aria-labelledby": "models-title" },
    html("h3", { id: "models-title" }, "Models"),
    html("p", { class: "aside" }, "In each picture their log-odds, times their weights, add up to the score that counts. A fitted fusion adds a constant."),
    html(
      "table",
      { "aria-labelledby": "models-title" },
      html("thead", {}, html("tr", {}, ...heads)),
      html("tbody", {}, ...models.map((model) => row(model, metadata))),
    ),
  );
}

/**
 * @param {ModelScore} model
 * @param {Metadata} metadata
 */
function row({ name, whole_image: isWhole, calibrated, weight, fake_probability: p }, metadata) {
  const band = shownBand(p, metadata);
  const traits = `${isWhole ? "whole picture" : "face crop"}, ${calibrated ? "calibrated" : "not calibrated"}`;
  const score = html("span", { class: "score" }, sign(band), percent(p));
  return html(
    "tr",
    {},
    html("th", { scope: "row" }, name, html("small", {}, traits)),
    html("td", {}, score, html("small", {}, BAND_WORDS[band])),
    html("td", {}, String(Number(weight.toPrecision(3)))),
  );
}
