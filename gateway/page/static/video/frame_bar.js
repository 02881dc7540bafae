/** The selected frame in words, between buttons that step to its neighbours. */

import { shownBand, sign } from "../shared/bands.js";
import { html, svg } from "../shared/dom.js";
import { probabilityOf } from "../shared/selection.js";
import { placeOf, scoreInWords } from "./frames.js";

/** @typedef {import("../shared/selection.js").Selection} Selection */
/** @typedef {import("../shared/types.js").Frame} Frame */
/** @typedef {import("../shared/types.js").Metadata} Metadata */

/**
 * @param {Frame[]} frames In the order of time.
 * @param {Selection} selection
 * @param {Metadata} metadata
 * @returns {{element: HTMLElement, onKey: (event: KeyboardEvent) => void}} `onKey` steps with "," and ".".
 */
export function frameBar(frames, selection, metadata) {
  const at = () => frames.findIndex(({ index }) => index === selection.frame);
  const step = (by) => {
    const to = frames[at() + by];
    if (to) selection.choose({ frame: to.index });
  };
  const before = stepButton("Previous", ",", "M15 5 8 12l7 7", () => step(-1));
  const after = stepButton("Next", ".", "M9 5l7 7-7 7", () => step(1));
  const detail = html("p", { class: "frame-detail" });
  const show = () => {
    const frame = frames[at()];
    const p = probabilityOf(frame, selection.person);
    detail.replaceChildren(
      html("strong", {}, placeOf(frame, metadata, selection.person)),
      html("span", {}, p === null ? null : sign(shownBand(p, metadata)), scoreInWords(frame, selection.person, metadata)),
    );
    before.toggleAttribute("disabled", at() === 0);
    after.toggleAttribute("disabled", at() === frames.length - 1);
  };
  selection.addEventListener("change", show);
  show();
  return {
    element: html("div", { class: "frame-bar" }, before, detail, after),
    onKey(event) {
      if (event.altKey || event.ctrlKey || event.metaKey) return;
      if (event.key === "," || event.key === ".") step(event.key === "," ? -1 : 1);
    },
  };
}

/**
 * @param {string} name
 * @param {string} key
 * @param {string} path
 * @param {() => void} onPress
 */
function stepButton(name, key, path, onPress) {
  const label = `${name} sampled frame`;
  const button = html(
    "button",
    { type: "button", class: "button step", "aria-label": label, "aria-keyshortcuts": key, title: `${label} (${key})` },
    svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: path })),
    html("span", {}, name),
  );
  button.addEventListener("click", onPress);
  return button;
}
