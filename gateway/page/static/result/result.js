/** The whole answer on the page. */

import { byId, html } from "../shared/dom.js";
import { saveFile } from "../shared/save.js";
import { firstSelection } from "../shared/selection.js";
import { workbench } from "../video/workbench.js";
import { factList, scoreCard, scoreList } from "./facts.js";
import { pictureList, uploadedPicture } from "./picture.js";
import { verdictPanel } from "./verdict.js";

/** @typedef {import("../shared/types.js").Entry} Entry */

/** @param {Entry} entry */
export function showResult(entry) {
  const { answer, file, previewUrl, requestId } = entry;
  const isVideo = answer.metadata.input_type === "video";
  const selection = firstSelection(answer.metadata);
  const download = html("button", { type: "button", class: "button" }, "Download result as JSON");
  download.addEventListener("click", () => saveFile(`${file.name}.result.json`, `${JSON.stringify(answer, null, 2)}\n`, "application/json"));
  const actions = html("p", { class: "actions" }, download);
  const verdict = isVideo ? verdictPanel(answer, actions) : verdictPanel(answer, scoreList(answer), actions);
  const image = isVideo ? null : uploadedPicture(previewUrl, answer.metadata);
  const parts = isVideo
    ? [workbench(entry, selection), pictureList(answer.metadata), scoreCard(answer)]
    : [];
  byId("result").replaceChildren(
    html("div", { class: "card top" }, verdict, image),
    ...parts.filter((part) => part !== null),
    factList(answer, file, requestId),
  );
  byId("result").hidden = false;
}

/** Takes the last one away. */
export function hideResult() {
  byId("result").hidden = true;
  byId("result").replaceChildren();
}
