/** A video over time: the player or a picture, the timeline and the frames. They share one selection. */

import { html } from "../shared/dom.js";
import { frameBar } from "./frame_bar.js";
import { frameTable } from "./frame_table.js";
import { allFrames } from "./frames.js";
import { player } from "./player.js";
import { segmentList } from "./segments.js";
import { still } from "./still.js";
import { strip } from "./strip.js";
import { timeline } from "./timeline.js";

/** @typedef {import("../shared/selection.js").Selection} Selection */
/** @typedef {import("../shared/types.js").Entry} Entry */

/**
 * @param {Entry} entry Of a video.
 * @param {Selection} selection
 * @returns {HTMLElement}
 */
export function workbench({ answer, previewUrl }, selection) {
  const { metadata } = answer;
  const frames = allFrames(metadata);
  const chart = timeline(answer, frames, selection);
  const bar = frameBar(frames, selection, metadata);
  const view = html("div", { class: "view" });
  const show = (picture) => view.replaceChildren(picture, bar.element);
  const pictures = html("div");
  const showPictures = () => {
    show(still(metadata, frames, selection));
    pictures.replaceChildren(strip(metadata, frames, selection) ?? "");
  };
  if (previewUrl) show(player(previewUrl, metadata, frames, selection, { onTime: chart.showTime, onUnplayable: showPictures }));
  else showPictures();
  const element = html(
    "section",
    { class: "card workbench", "aria-labelledby": "workbench-title" },
    html("h3", { id: "workbench-title" }, "Frame by frame"),
    html("div", { class: "side-by-side" }, view, html("div", {}, chart.element, segmentList(metadata, frames, selection))),
    pictures,
    frameTable(frames, selection, metadata),
  );
  element.addEventListener("keydown", bar.onKey);
  return element;
}
