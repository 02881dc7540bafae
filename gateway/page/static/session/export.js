/** The session's results as files, made in the browser. */

import { saveFile } from "../shared/save.js";

/** @typedef {import("./queue.js").Entry} Entry */

const COLUMNS = [
  "file", "sha256", "input_type", "result", "headline", "fake_probability", "assessable", "people", "findings",
  "error_code", "error_message", "processing_time_seconds", "model_version",
];

/** One row a file. @param {Entry[]} entries */
export function exportCsv(entries) {
  const rows = entries.map((entry) => {
    const values = row(entry);
    return COLUMNS.map((column) => cell(values[column]));
  });
  const text = [COLUMNS, ...rows].map((cells) => `${cells.join(",")}\n`).join("");
  saveFile("results.csv", text, "text/csv");
}

/** The API's own answers. @param {Entry[]} entries */
export function exportJson(entries) {
  const list = entries.map((entry) => ({ file: entry.name, ...(entry.answer ? { answer: entry.answer } : { error: error(entry) }) }));
  saveFile("results.json", `${JSON.stringify(list, null, 2)}\n`, "application/json");
}

/**
 * @param {Entry} entry
 * @returns {Record<string, unknown>}
 */
function row(entry) {
  const { answer, name } = entry;
  if (!answer) {
    const { code, message } = error(entry);
    return { file: name, error_code: code, error_message: message };
  }
  const { metadata } = answer;
  return {
    file: name,
    sha256: metadata.sha256,
    input_type: metadata.input_type,
    result: answer.result,
    headline: metadata.statement.headline,
    fake_probability: answer.confidence_score,
    assessable: metadata.assessable,
    people: metadata.people_found,
    findings: metadata.findings.map(({ code }) => code).join(" "),
    processing_time_seconds: answer.processing_time_seconds,
    model_version: answer.model_version,
  };
}

/** Why there is no answer. @param {Entry} entry */
function error({ problem, state }) {
  if (problem) return { code: problem.code, message: problem.message, request_id: problem.requestId || undefined };
  const message = state === "cancelled" ? "The analysis was cancelled." : "The file has not been analysed yet.";
  return { code: "NOT_ANALYSED", message };
}

/** @param {unknown} value @returns {string} */
function cell(value) {
  const text = typeof value === "string" ? asText(value) : String(value ?? "");
  return /[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/**
 * On one line, and with an apostrophe before what spreadsheet programs would take for a formula.
 * @param {string} text
 */
function asText(text) {
  const line = text.replace(/\p{C}/gu, "\ufffd");
  return line.length > 1 && /^[=+\-@']/.test(line) ? `'${line}` : line;
}
