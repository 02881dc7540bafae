/** The ground of the plot: the bands with their edges, and the axis of time. All places are percentages. */

import { BAND_WORDS } from "../shared/bands.js";
import { svg } from "../shared/dom.js";
import { edge } from "../shared/format.js";

/** @typedef {import("../shared/types.js").Bands} Bands */

const STEPS_S = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];
const MOST_MARKS = 8;

/** @param {number} share */
export const percentOf = (share) => `${share * 100}%`;
/** The height of a point. @param {number} probability */
export const y = (probability) => percentOf(1 - probability);

/** @param {Bands} bands @returns {[string, number, number][]} Name and bounds of each. */
const spans = (bands) => [
  ["fake", bands.fake_above, 1],
  ["uncertain", bands.real_below, bands.fake_above],
  ["real", 0, bands.real_below],
];

/**
 * The bands with their names, and their edges on the axis. Of two edges that are close, the upper one is written above
 * its line and the lower one below.
 * @param {Bands} bands
 */
export function bandShapes(bands) {
  const shapes = spans(bands).map(([name, from, to]) =>
    svg("rect", { class: `band ${name}`, x: 0, y: y(to), width: "100%", height: percentOf(to - from) }),
  );
  const names = spans(bands)
    .filter(([, from, to]) => to - from > 0.1)
    .map(([name, , to]) => svg("text", { class: `band-name ${name}`, x: 8, y: y(to), dy: 17 }, BAND_WORDS[name]));
  const { real_below: lower, fake_above: upper } = bands;
  const areClose = upper - lower < 0.1;
  const marks = [
    upper < 0.88 ? mark(1) : null,
    mark(upper, areClose ? 0 : 4),
    lower < upper ? mark(lower, areClose ? 12 : 4) : null,
    lower > 0.12 ? mark(0) : null,
  ];
  return [...shapes, ...names, ...marks];
}

/**
 * @param {number} probability 0-1
 * @param {number} [dy] How far below its line the text stands.
 */
function mark(probability, dy = 4) {
  return svg("text", { class: "tick", x: -8, y: y(probability), dy, "text-anchor": "end" }, edge(probability));
}

/**
 * All marks are in seconds, or all as m:ss.
 * @param {number} last_s Where the axis ends.
 */
export function timeAxis(last_s) {
  const marks = timeMarks(last_s).map(({ time_s, label }, i) => {
    const place = last_s ? time_s / last_s : 0;
    const anchor = place < 0.03 ? "start" : place > 0.97 ? "end" : "middle";
    return svg(
      "svg",
      { class: i % 2 ? "mark every-other" : "mark", x: percentOf(place), y: "100%" },
      svg("line", { class: "axis", y2: 5 }),
      svg("text", { class: "tick", y: 20, "text-anchor": anchor }, label),
    );
  });
  return [svg("line", { class: "axis", x1: 0, x2: "100%", y1: "100%", y2: "100%" }), ...marks];
}

/**
 * @param {number} last_s Where the axis ends.
 * @returns {{time_s: number, label: string}[]} From 0 on, at even distances.
 */
function timeMarks(last_s) {
  const step = STEPS_S.find((one) => one >= last_s / MOST_MARKS) ?? last_s / MOST_MARKS;
  const count = Math.floor(last_s / step + 1e-6) + 1;
  return Array.from({ length: count }, (_, i) => ({ time_s: i * step, label: label(i * step, step, last_s) }));
}

/**
 * @param {number} time_s
 * @param {number} step_s
 * @param {number} last_s
 */
function label(time_s, step_s, last_s) {
  if (last_s < 60) return `${time_s.toFixed(step_s < 0.1 ? 2 : step_s < 1 ? 1 : 0)}\u00a0s`;
  const [hours, minutes, seconds] = [time_s / 3600, (time_s / 60) % 60, time_s % 60].map(Math.floor);
  const parts = last_s < 3600 ? [minutes, seconds] : [hours, minutes, seconds];
  return parts.map((part, i) => (i ? String(part).padStart(2, "0") : part)).join(":");
}
