/** The whole answer on the page. */

import { byId, html } from "./dom.js";
import { downloadJson } from "./download.js";
import { factList, scoreList } from "./facts.js";
import { frameTable } from "./frame_table.js";
import { pictureList, uploadedPicture } from "./picture.js";
import { timeline } from "./timeline.js";
import { verdictPanel } from "./verdict.js";

/** @typedef {import("./types.js").Answer} Answer */

/**
 * @param {Answer} answer
 * @param {File} file
 * @param {string} previewUrl of an image; "" for a video
 * @param {string} requestId
 */
export function showResult(answer, file, previewUrl, requestId) {
  const isVideo = answer.metadata.input_type === "video";
  const download = html("button", { type: "button", class: "button" }, "Download result as JSON");
  download.addEventListener("click", () => downloadJson(answer, file.name));
  const top = html("div", { class: "card top" }, verdictPanel(answer), isVideo || !previewUrl ? null : uploadedPicture(previewUrl, answer.metadata));
  const parts = isVideo
    ? [timeline(answer), frameTable(answer.metadata), pictureList(answer.metadata), scoreList(answer)]
    : [scoreList(answer)];
  byId("result").replaceChildren(top, ...parts.filter((part) => part !== null), factList(answer, file, requestId), html("p", { class: "actions" }, download));
  byId("result").hidden = false;
  byId("result-title").focus();
}

/** Takes the last one away. */
export function hideResult() {
  byId("result").hidden = true;
  byId("result").replaceChildren();
}
