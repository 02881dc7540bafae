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
  const shown = isVideo ? [workbench(entry, selection), keyFrames(metadata, selection)] : [analysedImage(entry, selection)];
  const media = column("media", [...shown, stabilityCard(metadata)]);
  const people = peopleCard(metadata, selection);
  const details = [scoreCard(entry.answer), ...factCards(entry)];
  const parts = [verdictCard(entry.answer), ...(isVideo ? [people, media] : [media, people]), column("details", details), actions(entry)];
  const place = byId("result");
  place.replaceChildren(...parts.filter((part) => part !== null));
  place.dataset.kind = metadata.input_type;
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
