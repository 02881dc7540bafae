/** The fake probability of the selected person over time, as a list box of frames. */

import { shownBand } from "../shared/bands.js";
import { html, svg } from "../shared/dom.js";
import { counted, percent } from "../shared/format.js";
import { probabilityOf } from "../shared/selection.js";
import { bandShapes, percentOf, timeAxis, y } from "./axes.js";
import { forEachPerson, placeOf, scoreInWords } from "./frames.js";
import { listBox } from "./list_box.js";

/** @typedef {import("../shared/selection.js").Selection} Selection */
/** @typedef {import("../shared/types.js").Answer} Answer */
/** @typedef {import("../shared/types.js").Frame} Frame */
/** @typedef {import("../shared/types.js").Metadata} Metadata */
/** @typedef {import("../shared/types.js").Segment} Segment */

const CROSS = "M-5-5 5 5M5-5-5 5";

/**
 * @param {Answer} answer
 * @param {Frame[]} frames In the order of time.
 * @param {Selection} selection
 * @returns {{element: HTMLElement, showTime: (time_s: number) => void}} `showTime` moves the playhead.
 */
export function timeline({ confidence_score: score, metadata }, frames, selection) {
  const { verdict_bands: bands, segments = [] } = metadata;
  const last_s = frames[frames.length - 1].timestamp_s;
  const places = frames.map((frame, i) => (last_s > 0 ? frame.timestamp_s / last_s : (i + 0.5) / frames.length));
  const playhead = svg("line", { class: "playhead", y1: 0, y2: "100%", visibility: "hidden", "aria-hidden": "true" });
  const plot = svg("svg", { class: `plot${frames.length > 30 ? " dense" : ""}`, role: "listbox", "aria-orientation": "horizontal" });
  const legend = html("p", { class: "legend" });
  const mark = listBox(plot, selection);
  forEachPerson(selection, (person) => {
    const p = frames.map((frame) => probabilityOf(frame, person));
    const name = metadata.people.length > 1 ? person : null;
    const level = metadata.people.find((one) => one.person === person)?.fake_probability ?? score;
    const marked = segments.filter((segment) => segment.person === person);
    const ground = svg(
      "g",
      { "aria-hidden": "true" },
      ...bandShapes(bands),
      ...marked.map((segment) => segmentShape(segment, last_s || 1)),
      ...timeAxis(last_s),
      ...connections(p, places),
      svg("line", { class: "level", x1: 0, x2: "100%", y1: y(level), y2: y(level) }),
    );
    plot.setAttribute("aria-label", `Fake probability${name === null ? "" : ` of person ${name}`} in each frame over time`);
    plot.replaceChildren(ground, playhead, ...frames.map((frame, i) => option(frame, person, places, i, metadata)));
    legend.replaceChildren(...legendParts(metadata, frames, p, level, name));
    mark();
  });
  return {
    element: html("div", {}, html("div", { class: "chart" }, plot), legend),
    showTime(time_s) {
      if (!last_s) return;
      const place = percentOf(Math.min(Math.max(time_s / last_s, 0), 1));
      for (const [name, value] of Object.entries({ x1: place, x2: place, visibility: "visible" })) playhead.setAttribute(name, value);
    },
  };
}

/**
 * Lines between neighbours; a frame without a probability is a gap.
 * @param {(number | null)[]} p
 * @param {number[]} places
 */
function connections(p, places) {
  return p.slice(1).map((to, i) => {
    const from = p[i];
    if (from === null || to === null) return null;
    return svg("line", { class: "connection", x1: percentOf(places[i]), y1: y(from), x2: percentOf(places[i + 1]), y2: y(to) });
  });
}

/**
 * @param {Segment} segment
 * @param {number} last_s
 */
function segmentShape({ start_s, end_s }, last_s) {
  return svg("rect", { class: "segment", x: percentOf(start_s / last_s), y: 0, width: percentOf((end_s - start_s) / last_s), height: "100%" });
}

/**
 * One frame: its point, and the part of the plot in which a click chooses it.
 * @param {Frame} frame
 * @param {number | null} person
 * @param {number[]} places Of all frames.
 * @param {number} i Which of them it is.
 * @param {Metadata} metadata
 */
function option(frame, person, places, i, metadata) {
  const left = i === 0 ? 0 : (places[i - 1] + places[i]) / 2;
  const right = i === places.length - 1 ? 1 : (places[i] + places[i + 1]) / 2;
  const x = percentOf(places[i]);
  const p = probabilityOf(frame, person);
  return svg(
    "g",
    { class: "frame", role: "option", "data-frame": frame.index, "aria-label": `${placeOf(frame, metadata, person)}: ${scoreInWords(frame, person, metadata)}` },
    svg("rect", { class: "hit", x: percentOf(left), y: 0, width: percentOf(right - left), height: "100%" }),
    svg("line", { class: "guide", x1: x, x2: x, y1: 0, y2: "100%" }),
    ...(p === null ? [withoutPoint(frame, x)] : [svg("circle", { class: "ring", cx: x, cy: y(p) }), svg("circle", { class: `point ${shownBand(p, metadata)}`, cx: x, cy: y(p) })]),
  );
}

/**
 * @param {Frame} frame
 * @param {string} x
 */
function withoutPoint(frame, x) {
  if (frame.fake_probability !== null) return svg("circle", { class: "away", cx: x, cy: "100%" });
  return svg("svg", { class: "mark", x, y: "100%" }, svg("path", { class: "unscored", d: CROSS, transform: "translate(0 -9)" }));
}

/**
 * @param {Metadata} metadata
 * @param {Frame[]} frames
 * @param {(number | null)[]} p Of each frame.
 * @param {number} level
 * @param {number | null} person One of several.
 */
function legendParts({ deciding_person: decides, further_frame_predictions: further = [] }, frames, p, level, person) {
  const unscored = frames.filter((frame) => frame.fake_probability === null).length;
  const away = p.filter((one) => one === null).length - unscored;
  const whose = person === null ? ", which decides" : ` of person ${person}, who ${person === decides ? "decides" : "does not decide"}`;
  return [
    html("span", {}, key(28, svg("line", { class: "level", x1: 0, x2: 28, y1: 7, y2: 7 })), `${percent(level)}${whose}`),
    away ? html("span", {}, key(14, svg("circle", { class: "away", cx: 7, cy: 7 })), `${counted(away, "frame")} without ${person === null ? "the face" : `person ${person}`}`) : "",
    unscored ? html("span", {}, key(14, svg("path", { class: "unscored", d: CROSS, transform: "translate(7 7)" })), `${unscored} not scored`) : "",
    further.length ? html("span", {}, `${counted(further.length, "further frame")} around the highest, no part of the verdict`) : "",
  ];
}

/**
 * @param {number} width
 * @param {SVGElement} shape
 */
function key(width, shape) {
  return svg("svg", { class: "key", width, height: 14, "aria-hidden": "true" }, shape);
}
