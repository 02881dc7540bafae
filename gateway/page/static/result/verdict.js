/** The verdict in words and on a scale. */

import { sign } from "../shared/bands.js";
import { html, svg } from "../shared/dom.js";
import { findingList } from "./findings.js";
import { edge, percent } from "../shared/format.js";

/** @typedef {import("../shared/types.js").Answer} Answer */
/** @typedef {import("../shared/types.js").Bands} Bands */

const WORDS = {
  fake: { title: "Fake", sentence: "The model takes this %s for a deepfake." },
  real: { title: "Real", sentence: "The model takes this %s for genuine." },
  uncertain: { title: "Uncertain", sentence: "The model cannot tell whether this %s is a deepfake." },
};

/**
 * One sentence for announcements.
 * @param {Answer} answer
 * @returns {string}
 */
export function verdictSentence(answer) {
  const score = `fake probability ${percent(answer.confidence_score)}`;
  if (answer.metadata.model.trained && !answer.metadata.assessable) return `No verdict: not assessable, ${score}.`;
  if (!answer.metadata.model.trained) return `No verdict: the model is untrained. It answered ${answer.result}, ${score}.`;
  return `Verdict: ${answer.result}, ${score}.`;
}

/**
 * Heading, sentence, number and scale.
 * @param {Answer} answer
 * @param {...Node} below What else belongs to it.
 * @returns {HTMLElement}
 */
export function verdictPanel(answer, ...below) {
  const { input_type: kind, model, assessable, verdict_bands: bands } = answer.metadata;
  const words = WORDS[answer.result];
  const hasVerdict = model.trained && assessable;
  const title = hasVerdict ? words.title : model.trained ? "Not assessable" : "No verdict";
  const sentence = hasVerdict
    ? words.sentence.replace("%s", kind)
    : model.trained
      ? `The model cannot judge this ${kind}. Its number means nothing.`
      : `The model is untrained: its answer “${answer.result}” means nothing.`;
  return html(
    "div",
    { class: "verdict", "data-verdict": hasVerdict ? answer.result : "none" },
    html("h2", { id: "result-title", tabindex: "-1" }, hasVerdict ? sign(answer.result) : null, title),
    html("p", { class: "sentence" }, sentence),
    html(
      "p",
      { class: "number" },
      html("strong", {}, percent(answer.confidence_score)),
      ` fake probability${whose(answer)}${kind === "video" ? ", mean of the frames" : ""}`,
    ),
    gauge(answer.confidence_score, bands),
    findingList(answer),
    ...below,
  );
}

/** Which of several people decides. @param {Answer} answer */
function whose({ confidence_score: p, metadata: { people } }) {
  const decider = people.length > 1 ? people.find((one) => one.fake_probability === p) : undefined;
  return decider ? ` of person ${decider.person}` : "";
}

/**
 * The fake probability on a scale with the verdict's bands. Widths are percentages, so that it fits any width.
 * @param {number} probability
 * @param {Bands} bands
 * @returns {SVGElement}
 */
function gauge(probability, bands) {
  const at = (value) => `${value * 100}%`;
  const span = { real: [0, bands.real_below], uncertain: [bands.real_below, bands.fake_above], fake: [bands.fake_above, 1] };
  const parts = Object.entries(span).flatMap(([name, [from, to]]) => [
    svg("rect", { class: `band ${name}`, x: at(from), y: 24, width: at(to - from), height: 26 }),
    to - from > 0.12 ? svg("text", { class: "band-name", x: at((from + to) / 2), y: 41, "text-anchor": "middle" }, name) : null,
  ]);
  const ticks = [0, bands.real_below, bands.fake_above, 1].map((value) =>
    svg("text", { class: "tick", x: at(value), y: 68, "text-anchor": anchor(value, 0.03) }, edge(value)),
  );
  const label =
    `Fake probability ${percent(probability)} on a scale from 0 to 100 %: real below ${edge(bands.real_below)}, ` +
    `fake above ${edge(bands.fake_above)}, uncertain between.`;
  return svg(
    "svg",
    { class: "gauge", role: "img", "aria-label": label, width: "100%", height: 74 },
    ...parts,
    ...ticks,
    svg("svg", { class: "needle", x: at(probability), y: 22 }, svg("path", { d: "M0 0-8-14H8z" })),
  );
}

/**
 * Keeps a label inside the picture.
 * @param {number} value
 * @param {number} margin
 */
function anchor(value, margin) {
  if (value < margin) return "start";
  return value > 1 - margin ? "end" : "middle";
}
