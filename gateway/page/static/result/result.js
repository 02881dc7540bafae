/** The whole answer on the page. */

import { OUTCOME_BANDS } from "../shared/bands.js";
import { byId, html } from "../shared/dom.js";
import { firstSelection } from "../shared/selection.js";
import { workbench } from "../video/workbench.js";
import { factCards, scoreCard } from "./facts.js";
import { modelsCard } from "./models.js";
import { peopleCard } from "./people.js";
import { analysedImage, keyFrames } from "./pictures.js";
import { reportCard } from "./report_card.js";
import { stabilityCard } from "./stability.js";
import { verdictCard } from "./verdict.js";

/** @typedef {import("../shared/types.js").Entry} Entry */

/** @param {Entry} entry */
export function showResult(entry) {
  const { metadata } = entry.answer;
  const selection = firstSelection(metadata);
  const isVideo = metadata.input_type === "video";
  const verdict = verdictCard(entry.answer);
  const people = peopleCard(metadata, selection);
  const parts = isVideo
    ? [verdict, people, column("media", [workbench(entry, selection), keyFrames(metadata, selection)])]
    : [verdict, column("media", [analysedImage(entry, selection), people])];
  const details = column("details", [reportCard(entry), modelsCard(metadata), scoreCard(entry.answer), stabilityCard(metadata), ...factCards(entry)]);
  const place = byId("result");
  place.replaceChildren(...[...parts, details].filter((part) => part !== null));
  place.dataset.band = OUTCOME_BANDS[metadata.statement.outcome];
  place.hidden = false;
}

/** Takes the last one away. */
export function hideResult() {
  byId("result").hidden = true;
  byId("result").replaceChildren();
}

/**
 * @param {string} name
 * @param {(HTMLElement | null)[]} cards
 */
function column(name, cards) {
  return html("div", { class: name }, ...cards);
}
