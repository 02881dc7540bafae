/** The whole answer on the page. */

import { OUTCOME_BANDS } from "../shared/bands.js";
import { byId, html } from "../shared/dom.js";
import { saveFile } from "../shared/save.js";
import { firstSelection } from "../shared/selection.js";
import { workbench } from "../video/workbench.js";
import { factCards, scoreCard } from "./facts.js";
import { peopleCard } from "./people.js";
import { analysedImage, keyFrames } from "./pictures.js";
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
  const details = column("details", [scoreCard(entry.answer), stabilityCard(metadata), ...factCards(entry)]);
  const place = byId("result");
  place.replaceChildren(...[...parts, details, actions(entry)].filter((part) => part !== null));
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

/** @param {Entry} entry */
function actions({ answer, file }) {
  const download = html("button", { type: "button", class: "button" }, "Download result as JSON");
  download.addEventListener("click", () => saveFile(`${file.name}.result.json`, `${JSON.stringify(answer, null, 2)}\n`, "application/json"));
  return html("p", { class: "actions" }, download);
}
