/** The bands of the fake probability: which it lies in, their words for people, their signs. */

import { svg } from "./dom.js";

/** @typedef {import("./types.js").Bands} Bands */
/** @typedef {import("./types.js").Verdict} Verdict */
/** @typedef {Verdict | "none"} Band "none" is grey: there is no verdict */

/** @type {Record<Band, string>} */
export const BAND_WORDS = { real: "no sign", uncertain: "inconclusive", fake: "signs", none: "" };

/** @type {Record<import("./types.js").Outcome, Band>} */
export const OUTCOME_BANDS = {
  signs: "fake", no_signs: "real", inconclusive: "uncertain", not_assessable: "none", no_verdict: "none",
};

const SHAPES = {
  fake: "M12 2.500 22 20.500H2zM12 9v5.500M12 17.400v.3",
  real: "M12 2a10 10 0 1 0 0 20 10 10 0 0 0 0-20zM7.500 12.500l3 3 6-6.500",
  uncertain: "M12 2a10 10 0 1 0 0 20 10 10 0 0 0 0-20zM9.200 9.500a2.800 2.800 0 1 1 4.200 2.400c-.9.6-1.400 1.100-1.400 2.200M12 17v.3",
  none: "M12 2a10 10 0 1 0 0 20 10 10 0 0 0 0-20zM7.500 12h9",
};

/**
 * In which band a fake probability lies; the bounds are uncertain.
 * @param {number} probability 0-1
 * @param {Bands} bands
 * @returns {Verdict}
 */
export function bandOf(probability, bands) {
  if (probability > bands.fake_above) return "fake";
  return probability < bands.real_below ? "real" : "uncertain";
}

/**
 * The band in which a part of a result lies: "none" where the result is no verdict.
 * @param {number} probability 0-1
 * @param {import("./types.js").Metadata} metadata
 * @returns {Band}
 */
export function shownBand(probability, metadata) {
  return OUTCOME_BANDS[metadata.statement.outcome] === "none" ? "none" : bandOf(probability, metadata.verdict_bands);
}

/**
 * The sign of a band, so that its colour is not all that tells it.
 * @param {Band} band
 * @returns {SVGElement}
 */
export function sign(band) {
  return svg("svg", { class: `sign ${band}`, viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: SHAPES[band] }));
}
