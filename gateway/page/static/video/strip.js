/** The sampled frames as small pictures in a row, to choose from. */

import { shownBand, sign } from "../shared/bands.js";
import { html } from "../shared/dom.js";
import { percent, time } from "../shared/format.js";
import { probabilityOf } from "../shared/selection.js";
import { forEachPerson } from "./frames.js";
import { listBox } from "./list_box.js";

/** @typedef {import("../shared/selection.js").Selection} Selection */
/** @typedef {import("../shared/types.js").Frame} Frame */
/** @typedef {import("../shared/types.js").Metadata} Metadata */
/** @typedef {import("../shared/types.js").Thumbnail} Thumbnail */

/**
 * @param {Metadata} metadata
 * @param {Frame[]} frames
 * @param {Selection} selection
 * @returns {HTMLElement | null} Null where there are none.
 */
export function strip(metadata, frames, selection) {
  const { thumbnails } = metadata;
  if (!thumbnails.length) return null;
  const byIndex = new Map(frames.map((frame) => [frame.index, frame]));
  const list = html("ul", { class: "strip", role: "listbox", "aria-labelledby": "strip-title" });
  const mark = listBox(list, selection);
  forEachPerson(selection, (person) => {
    list.replaceChildren(...thumbnails.map((thumbnail) => option(thumbnail, byIndex.get(thumbnail.index), person, metadata)));
    mark();
  });
  const centre = () => {
    const selected = /** @type {HTMLElement | null} */ (list.querySelector("[aria-selected=true]"));
    if (selected) list.scrollLeft = selected.offsetLeft + (selected.offsetWidth - list.clientWidth) / 2;
  };
  selection.addEventListener("change", centre);
  requestAnimationFrame(centre); // it is on the page by then
  return html(
    "section",
    { class: "frame-pictures", "aria-labelledby": "strip-title" },
    html("h4", { id: "strip-title" }, "Sampled frames"),
    list,
  );
}

/**
 * @param {Thumbnail} thumbnail
 * @param {Frame} frame
 * @param {number | null} person
 * @param {Metadata} metadata
 */
function option({ image, width_px: width, height_px: height, index, timestamp_s }, frame, person, metadata) {
  const p = probabilityOf(frame, person);
  return html(
    "li",
    { role: "option", "data-frame": index },
    html("img", { src: image, alt: `Frame ${index}`, width, height }),
    html("span", { class: "when" }, time(timestamp_s)),
    p === null ? html("span", { class: "score" }, "not seen") : html("span", { class: "score" }, sign(shownBand(p, metadata)), percent(p)),
  );
}
