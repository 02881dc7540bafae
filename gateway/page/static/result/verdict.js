/** The verdict: the API's words, the fake probability on a scale, the findings. */

import { BAND_WORDS, bandOf, OUTCOME_BANDS, sign } from "../shared/bands.js";
import { html, svg } from "../shared/dom.js";
import { edge, percent } from "../shared/format.js";
import { findingList } from "./findings.js";

/** @typedef {import("../shared/types.js").Answer} Answer */
/** @typedef {import("../shared/types.js").Bands} Bands */
/** @typedef {import("../shared/types.js").CardReference} CardReference */

/**
 * One sentence for announcements.
 * @param {Answer} answer
 * @returns {string}
 */
export function verdictSentence(answer) {
  return `${answer.metadata.statement.headline}. Fake probability ${percent(answer.confidence_score)}.`;
}

/**
 * @param {Answer} answer
 * @returns {HTMLElement}
 */
export function verdictCard(answer) {
  const p = answer.confidence_score;
  const { statement, model, verdict_bands: bands } = answer.metadata;
  const band = OUTCOME_BANDS[statement.outcome];
  const card = cardLink(model.model_card);
  return html(
    "section",
    { class: "card verdict", "aria-labelledby": "result-title", "data-outcome": statement.outcome },
    html("h2", { id: "result-title", tabindex: "-1", class: band }, sign(band), html("span", {}, statement.headline)),
    html("p", { class: "explanation" }, statement.explanation),
    html("p", { class: "number" }, html("strong", {}, percent(p)), html("span", {}, whose(answer))),
    ...(band === "none" ? [] : scale(p, bands)),
    statement.calibration || card ? html("p", { class: "aside" }, statement.calibration, " ", card) : null,
    findingList(answer),
  );
}

/** What the number is: of several people, whose. @param {Answer} answer */
function whose({ metadata: { people, deciding_person: person } }) {
  return `fake probability${people.length > 1 && person !== null ? ` of person\u00a0${person}` : ""}`;
}

/** @param {CardReference | undefined} card */
function cardLink(card) {
  if (!card?.route) return null;
  const name = [card.name, card.licence].filter(Boolean).join(", ");
  return html("span", {}, html("a", { href: card.route.slice(1) }, "Model card"), name ? ` (${name})` : "");
}

/**
 * The bands with a needle, and what each means. Places are percentages, so that the scale fits any width.
 * @param {number} probability
 * @param {Bands} bands
 * @returns {Element[]}
 */
function scale(probability, bands) {
  const { real_below: real, fake_above: fake } = bands;
  /** @type {{name: import("../shared/types.js").Verdict, from: number, to: number, where: string}[]} */
  const spans = [
    { name: "real", from: 0, to: real, where: `below ${edge(real)}` },
    { name: "uncertain", from: real, to: fake, where: "between" },
    { name: "fake", from: fake, to: 1, where: `above ${edge(fake)}` },
  ];
  const here = bandOf(probability, bands);
  /** @param {string} name */
  const classOf = (name) => (name === here ? `${name} here` : name);
  /** @param {number} value */
  const at = (value) => `${value * 100}%`;
  const shapes = spans.map(({ name, from, to }) =>
    svg("rect", { class: `band ${classOf(name)}`, x: at(from), y: 12, width: at(to - from), height: 16 }),
  );
  const words = spans.map(({ name, where }) =>
    html("li", { class: classOf(name) }, html("strong", {}, BAND_WORDS[name]), " ", html("span", {}, where)),
  );
  const needle = svg("svg", { class: "needle", x: at(probability) }, svg("path", { d: "M-7 0H7L0 11zM-1 10h2v20h-2z" }));
  return [
    svg("svg", { class: "gauge", "aria-hidden": "true", width: "100%", height: 30 }, ...shapes, needle),
    html("ul", { class: "bands" }, ...words),
  ];
}
