/**
 * The fake probability of each frame over time. The plot is a list box: one stop of the Tab key, arrow keys inside.
 * Horizontal places are percentages, so that it fits any width without being drawn again.
 */

import { html, svg } from "../shared/dom.js";
import { edge, percent, time } from "../shared/format.js";
import { allFrames, frameTable } from "./frame_table.js";
import { bandOf, sign } from "../shared/bands.js";

/** @typedef {import("../shared/types.js").Frame} Frame */
/** @typedef {import("../shared/types.js").Bands} Bands */
/** @typedef {import("../shared/types.js").Answer} Answer */
/** @typedef {import("../shared/types.js").Segment} Segment */

const HEIGHT_PX = 220;
const AXIS_PX = 30;

/**
 * @param {Answer} answer
 * @returns {HTMLElement}
 */
export function timeline(answer) {
  const { frame_predictions: even, segments = [], verdict_bands: bands } = answer.metadata;
  const frames = allFrames(answer.metadata);
  const detail = html("p", { class: "frame-detail" });
  const places = horizontalPlaces(frames);
  const options = frames.map((frame, i) => option(frame, places, i, frames.length, bands));
  const plot = svg(
    "svg",
    {
      class: "plot", role: "listbox", "aria-orientation": "horizontal", width: "100%", height: HEIGHT_PX + AXIS_PX,
      "aria-label": "Fake probability of each frame over time. Arrow keys move between frames.",
    },
    svg(
      "g",
      { "aria-hidden": "true" },
      ...bandShapes(bands),
      ...timeAxis(frames, places),
      ...connections(frames, places),
      meanLine(answer.confidence_score),
      ...bandNames(bands),
      ...segments.map((segment) => stretch(segment, frames)),
    ),
    ...options,
  );
  letChoose(options, (i) => showDetail(detail, frames[i], bands));
  return html(
    "section",
    { class: "card", "aria-labelledby": "timeline-title" },
    html("h3", { id: "timeline-title" }, "Fake probability over time"),
    html("div", { class: "chart" }, plot),
    detail,
    legend(frames, frames.length - even.length),
    stretchList(segments),
    frameTable(answer.metadata),
  );
}

/**
 * Where each frame stands, 0-1: by its time, or evenly where the times do not tell frames apart.
 * @param {Frame[]} frames
 * @returns {number[]}
 */
function horizontalPlaces(frames) {
  const last = frames[frames.length - 1].timestamp_s;
  if (frames.length === 1) return [0.5];
  return frames.map((frame, i) => (last > 0 ? frame.timestamp_s / last : i / (frames.length - 1)));
}

/** @param {number} place */
const x = (place) => `${place * 100}%`;
/** @param {number} probability */
const y = (probability) => (1 - probability) * HEIGHT_PX;

/** @param {Bands} bands @returns {[string, number, number][]} Name and bounds of each. */
const spans = (bands) => [
  ["fake", bands.fake_above, 1],
  ["uncertain", bands.real_below, bands.fake_above],
  ["real", 0, bands.real_below],
];

/** @param {Bands} bands */
function bandShapes(bands) {
  const shapes = spans(bands).map(([name, from, to]) =>
    svg("rect", { class: `band ${name}`, x: 0, y: y(to), width: "100%", height: y(from) - y(to) }),
  );
  const marks = [0, bands.real_below, bands.fake_above, 1].map((value) =>
    svg("text", { class: "tick", x: -8, y: y(value) + 4, "text-anchor": "end" }, edge(value)),
  );
  return [...shapes, ...marks];
}

/** Over the lines, so that they stay readable. @param {Bands} bands */
function bandNames(bands) {
  const wide = spans(bands).filter(([, from, to]) => to - from > 0.08);
  return wide.map(([name, , to]) => svg("text", { class: `band-name on-${name}`, x: 8, y: y(to) + 17 }, name));
}

/**
 * @param {Frame[]} frames
 * @param {number[]} places
 */
function timeAxis(frames, places) {
  const last = frames[frames.length - 1].timestamp_s;
  const baseline = svg("line", { class: "axis", x1: 0, x2: "100%", y1: HEIGHT_PX, y2: HEIGHT_PX });
  if (!last) return [baseline, svg("text", { class: "tick", x: x(places[0]), y: HEIGHT_PX + 22, "text-anchor": "middle" }, time(0))];
  const step = niceStep(last / 4);
  const digits = step < 0.1 ? 2 : step < 1 ? 1 : 0;
  const marks = [];
  for (let t = 0; t <= last * 1.0001; t += step) {
    const place = t / last;
    const anchor = place < 0.03 ? "start" : place > 0.97 ? "end" : "middle";
    marks.push(
      svg("line", { class: "axis", x1: x(place), x2: x(place), y1: HEIGHT_PX, y2: HEIGHT_PX + 5 }),
      svg("text", { class: "tick", x: x(place), y: HEIGHT_PX + 22, "text-anchor": anchor }, time(t, digits)),
    );
  }
  return [baseline, ...marks];
}

/** The next 1, 2 or 5 times a power of ten. @param {number} least */
function niceStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return power * (least / power <= 1 ? 1 : least / power <= 2 ? 2 : least / power <= 5 ? 5 : 10);
}

/**
 * Lines between neighbours that were both scored; a frame that was not is a gap.
 * @param {Frame[]} frames
 * @param {number[]} places
 */
function connections(frames, places) {
  return frames.slice(1).map((frame, i) => {
    const [from, to] = [frames[i].fake_probability, frame.fake_probability];
    if (from === null || to === null) return null;
    return svg("line", { class: "connection", x1: x(places[i]), y1: y(from), x2: x(places[i + 1]), y2: y(to) });
  });
}

/** @param {number} mean */
function meanLine(mean) {
  return svg("line", { class: "mean", x1: 0, x2: "100%", y1: y(mean), y2: y(mean) });
}

/**
 * One frame: its point, and the strip around it in which the pointer finds it.
 * @param {Frame} frame
 * @param {number[]} places
 * @param {number} i
 * @param {number} count
 * @param {Bands} bands
 */
function option(frame, places, i, count, bands) {
  const left = i === 0 ? 0 : (places[i - 1] + places[i]) / 2;
  const right = i === count - 1 ? 1 : (places[i] + places[i + 1]) / 2;
  const p = frame.fake_probability;
  const bottom = HEIGHT_PX - 9;
  const point =
    p === null
      ? svg("svg", { x: x(places[i]), y: bottom, class: "unscored-at" }, svg("path", { class: "unscored", d: "M-5-5 5 5M5-5-5 5" }))
      : svg("circle", { class: `point ${bandOf(p, bands)}`, cx: x(places[i]), cy: y(p), r: 5 });
  return svg(
    "g",
    { class: "frame", role: "option", tabindex: i === 0 ? 0 : -1, "aria-selected": "false", "aria-label": describe(frame, bands) },
    svg("rect", { class: "strip", x: x(left), y: 0, width: x(right - left), height: HEIGHT_PX }),
    svg("line", { class: "guide", x1: x(places[i]), x2: x(places[i]), y1: 0, y2: HEIGHT_PX }),
    p === null ? null : svg("circle", { class: "ring", cx: x(places[i]), cy: y(p), r: 9 }),
    point,
  );
}

/**
 * @param {Frame} frame
 * @param {Bands} bands
 * @returns {string}
 */
function describe(frame, bands) {
  const place = `Frame ${frame.index + 1} at ${time(frame.timestamp_s)}`;
  const p = frame.fake_probability;
  if (p === null) return `${place}: not scored, ${frame.status}`;
  const face = frame.face_box ? "face found" : "no face found";
  return `${place}: fake probability ${percent(p)}, ${bandOf(p, bands)}, ${face}`;
}

/**
 * @param {HTMLElement} place
 * @param {Frame} frame
 * @param {Bands} bands
 */
function showDetail(place, frame, bands) {
  const p = frame.fake_probability;
  place.replaceChildren(
    ...(p === null ? [] : [sign(bandOf(p, bands))]),
    html("span", {}, describe(frame, bands)),
  );
}

/**
 * Focus, keys and pointer on the frames.
 * @param {SVGElement[]} options
 * @param {(i: number) => void} onChoose
 */
function letChoose(options, onChoose) {
  let chosen = -1;
  /** @param {number} i */
  const choose = (i) => {
    if (i === chosen) return;
    if (chosen >= 0) {
      options[chosen].setAttribute("aria-selected", "false");
      options[chosen].setAttribute("tabindex", "-1");
    }
    chosen = i;
    options[0].setAttribute("tabindex", "-1");
    options[i].setAttribute("aria-selected", "true");
    options[i].setAttribute("tabindex", "0");
    onChoose(i);
  };
  options.forEach((one, i) => {
    one.addEventListener("pointerenter", () => choose(i));
    one.addEventListener("click", () => one.focus());
    one.addEventListener("focus", () => choose(i));
    one.addEventListener("keydown", (event) => {
      const to = { ArrowRight: i + 1, ArrowDown: i + 1, ArrowLeft: i - 1, ArrowUp: i - 1, Home: 0, End: options.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      options[Math.min(Math.max(to, 0), options.length - 1)].focus();
    });
  });
  choose(options.length > 1 ? mostSuspicious(options) : 0);
}

/** The first frame to show: the highest point. @param {SVGElement[]} options */
function mostSuspicious(options) {
  const heights = options.map((one) => Number(one.querySelector(".point")?.getAttribute("cy") ?? HEIGHT_PX + 1));
  return heights.indexOf(Math.min(...heights));
}

/**
 * @param {Segment} segment
 * @param {Frame[]} frames
 */
function stretch(segment, frames) {
  const last = frames[frames.length - 1].timestamp_s || 1;
  const width = (segment.end_s - segment.start_s) / last;
  return svg("rect", { class: "stretch", x: x(segment.start_s / last), y: 0, width: x(width), height: 5 });
}

/** @param {Segment[]} segments */
function stretchList(segments) {
  if (!segments.length) return null;
  const texts = segments.map(
    ({ start_s, end_s, person }) => `${time(start_s, 1)} to ${time(end_s, 1)}${person === null ? "" : `, person ${person}`}`,
  );
  return html("p", { class: "stretches" }, `Above the fake band: ${texts.join("; ")}.`);
}

/**
 * @param {Frame[]} frames
 * @param {number} further How many of them are no part of the mean.
 */
function legend(frames, further) {
  const unscored = frames.filter((frame) => frame.fake_probability === null).length;
  return html(
    "p",
    { class: "legend" },
    svg("svg", { class: "key", width: 28, height: 10, "aria-hidden": "true" }, svg("line", { class: "mean", x1: 0, x2: 28, y1: 5, y2: 5 })),
    "what the verdict is made of",
    further ? html("span", {}, `${further} further ${further === 1 ? "frame" : "frames"} around the highest, no part of it`) : null,
    unscored
      ? html("span", {}, svg("svg", { class: "key", width: 14, height: 14, viewBox: "-7 -7 14 14", "aria-hidden": "true" }, svg("path", { class: "unscored", d: "M-5-5 5 5M5-5-5 5" })), `${unscored} not scored`)
      : null,
  );
}
