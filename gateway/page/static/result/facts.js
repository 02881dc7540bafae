/** The scores, the input and the model as lists of terms. */

import { html } from "../shared/dom.js";
import { counted, size, time } from "../shared/format.js";

/** @typedef {import("../shared/types.js").Answer} Answer */
/** @typedef {import("../shared/types.js").Provenance} Provenance */

const SCORES = [
  ["risk_score", "Risk", "the 90th percentile, raised where single frames stand out"],
  ["video_score", "90th percentile", "nine of ten frames lie below"],
  ["peak_risk", "Peak", "the highest frame"],
  ["mean_risk", "Mean", "over each frame's largest face"],
  ["temporal_consistency", "Consistency", "100 where all frames agree"],
  ["confidence", "Confidence", "50 is undecided, 100 is sure"],
];

/**
 * The scores of a video, 0-100. Those of an image say what its fake probability says.
 * @param {Answer} answer
 * @returns {HTMLElement | null}
 */
export function scoreCard({ metadata: { scores, input_type: kind } }) {
  if (kind === "image") return null;
  const rows = SCORES.map(([key, name, meaning]) =>
    html(
      "div",
      {},
      html("dt", {}, name),
      html("dd", {}, html("strong", {}, scores[key].toFixed(1)), html("small", {}, meaning)),
    ),
  );
  return html(
    "section",
    { class: "card", "aria-labelledby": "scores-title" },
    html("h3", { id: "scores-title" }, "Scores"),
    html("p", { class: "aside" }, "Of the largest face of each frame, from 0 to 100, as in the API."),
    html("dl", { class: "scores" }, ...rows),
  );
}

/**
 * @param {import("../shared/types.js").Entry} entry
 * @returns {(HTMLElement | null)[]}
 */
export function factCards({ answer, file, requestId }) {
  const { metadata } = answer;
  const { model } = metadata;
  const input = [
    ["File", file.name],
    ["Content", `${metadata.format.toUpperCase()} ${metadata.input_type}, ${size(file.size)}`],
    ["SHA-256", html("code", {}, metadata.sha256)],
    ["Frames", `${metadata.frames_analyzed} scored${metadata.frames_failed ? `, ${metadata.frames_failed} not` : ""}; ${counted(metadata.faces_detected, "face")} found`],
    ["Analysed in", time(answer.processing_time_seconds)],
    ["Request id", html("code", {}, requestId)],
  ];
  const identity = [
    ["Model", model.name],
    ["Trained", model.trained ? "yes" : "no: its scores mean nothing"],
    ["Release", html("code", {}, model.release_id)],
    ["Export id", html("code", {}, String(model.export_id))],
    ["Precision", model.precision],
    ["Labels", model.labels.join(", ")],
  ];
  return [facts("The file", "file-title", input), provenanceFacts(metadata.provenance), facts("The model", "model-title", identity)];
}

/**
 * What the file says of itself; null where it says nothing.
 * @param {Provenance | undefined} provenance
 */
function provenanceFacts(provenance) {
  if (!provenance) return null;
  const credentials = provenance.content_credentials;
  const rows = [
    ["C2PA manifest", credentials && (credentials.not_read || credentials.state)],
    ["Signer, as the certificate says", credentials && [credentials.signer, credentials.issuer].filter(Boolean).join(", ")],
    ["Digital source type", provenance.digital_source_types.join(", ")],
    ...provenance.statements.map(({ source, name, value }) => [`${source}: ${name}`, value]),
    ["Place of recording", provenance.has_location ? "in the file, not shown here" : ""],
  ].flatMap(([term, value]) => (term && value ? [[term, value]] : []));
  return facts("What the file says of itself", "provenance-title", rows);
}

/**
 * @param {string} title
 * @param {string} id
 * @param {(string | Node)[][]} rows
 */
function facts(title, id, rows) {
  const list = rows.map(([term, value]) => html("div", {}, html("dt", {}, term), html("dd", {}, value)));
  return html("section", { class: "card", "aria-labelledby": id }, html("h3", { id }, title), html("dl", { class: "facts" }, ...list));
}
