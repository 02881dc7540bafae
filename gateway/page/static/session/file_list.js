/** The files of this tab in a table: what became of each. Its heads sort it, a row opens its result. */

import { OUTCOME_BANDS, sign } from "../shared/bands.js";
import { byId, html } from "../shared/dom.js";
import { counted, percent } from "../shared/format.js";
import { exportCsv, exportJson } from "./export.js";

/** @typedef {import("./queue.js").Entry} Entry */
/** @typedef {import("./queue.js").Queue} Queue */

const OUTCOMES = ["no_verdict", "not_assessable", "no_signs", "inconclusive", "signs"];
const STATES = ["analysing", "uploading", "waiting", "done", "failed", "cancelled"];

/**
 * The columns: title, what it sorts by, and whether large values come first. What has no value comes last.
 * @type {[string, (entry: Entry) => string | number | undefined, boolean][]}
 */
const COLUMNS = [
  ["File", (entry) => entry.name, false],
  ["Verdict", ({ answer }) => answer ? OUTCOMES.indexOf(answer.metadata.statement.outcome) : undefined, true],
  ["Fake probability", ({ answer }) => answer?.confidence_score, true],
  ["People", ({ answer }) => answer?.metadata.people_found, true],
  ["State", (entry) => STATES.indexOf(entry.state), false],
];

/** The list is shown as soon as there are two files. */
export class FileList {
  /** @type {Map<Entry, Row>} */
  #rows = new Map();
  #sortedBy = -1;
  #descending = false;

  /**
   * @param {Queue} queue
   * @param {(entry: Entry) => void} open Called with the entry of a row that the user opens.
   */
  constructor(queue, open) {
    this.queue = queue;
    this.heads = COLUMNS.map(([title], i) => head(title, () => this.#sortBy(i)));
    this.body = html("tbody", { role: "rowgroup" });
    this.count = html("p", { class: "aside" });
    this.tryAgain = button("Try again", () => queue.tryAgain(queue.entries.filter((entry) => entry.canBeTriedAgain)));
    this.cancelAll = button("Cancel all", () => queue.cancelAll());
    byId("files").replaceChildren(
      html("h2", { id: "files-title", tabindex: "-1" }, "Files"),
      this.count,
      html(
        "p",
        { class: "list-actions" },
        this.cancelAll,
        this.tryAgain,
        button("Export CSV", () => exportCsv(queue.entries)),
        button("Export JSON", () => exportJson(queue.entries)),
      ),
      html(
        "div",
        { class: "rows" },
        html(
          "table",
          { role: "table", "aria-labelledby": "files-title" },
          html("thead", { role: "rowgroup" }, html("tr", { role: "row" }, ...this.heads)),
          this.body,
        ),
      ),
      html("p", { class: "aside" }, "The list lives in this tab only: closing it or loading it again ends the list. Nothing is stored on the server."),
    );
    queue.on("added", (entries) => {
      for (const entry of entries) if (!this.#rows.has(entry)) this.#rows.set(entry, new Row(entry, queue, open));
      this.#show(entries);
    });
    queue.on("change", (entry) => this.#show([entry]));
    queue.on("progress", (entry) => this.#show([entry]));
  }

  /** Marks the row of what is shown below the list. @param {Entry | null} opened */
  mark(opened) {
    for (const [entry, row] of this.#rows) row.mark(entry === opened);
  }

  /** @param {Entry[]} changed */
  #show(changed) {
    const { entries } = this.queue;
    for (const entry of changed) this.#rows.get(entry)?.show();
    this.#sort();
    const done = entries.filter((entry) => entry.state === "done").length;
    const failed = entries.filter((entry) => entry.state === "failed").length;
    this.count.textContent = `${done} of ${counted(entries.length, "file")} analysed${failed ? `, ${failed} failed` : ""}.`;
    this.cancelAll.hidden = entries.filter((entry) => entry.isPending).length < 2;
    this.tryAgain.hidden = !entries.some((entry) => entry.canBeTriedAgain);
    byId("files").hidden = entries.length < 2;
  }

  /** @param {number} column */
  #sortBy(column) {
    this.#descending = this.#sortedBy === column ? !this.#descending : COLUMNS[column][2];
    this.#sortedBy = column;
    for (const one of this.heads) one.removeAttribute("aria-sort");
    this.heads[column].setAttribute("aria-sort", this.#descending ? "descending" : "ascending");
    this.#sort();
  }

  /** Puts the rows in order; those that stand right are not moved, so that none loses the focus without need. */
  #sort() {
    const sorted = [...this.queue.entries];
    if (this.#sortedBy >= 0) sorted.sort(this.#order(COLUMNS[this.#sortedBy][1]));
    const focused = document.activeElement;
    sorted.forEach((entry, i) => {
      const row = /** @type {Row} */ (this.#rows.get(entry)).element;
      if (this.body.children[i] !== row) this.body.insertBefore(row, this.body.children[i] ?? null);
    });
    if (focused instanceof HTMLElement && focused !== document.activeElement) focused.focus({ preventScroll: true });
  }

  /** @param {(entry: Entry) => string | number | undefined} value */
  #order(value) {
    const turn = this.#descending ? -1 : 1;
    /** @param {Entry} one @param {Entry} other */
    return (one, other) => {
      const [a, b] = [value(one), value(other)];
      if (a === undefined || b === undefined) return Number(a === undefined) - Number(b === undefined);
      return turn * (typeof a === "string" ? a.localeCompare(String(b), undefined, { numeric: true }) : a - Number(b));
    };
  }
}

/** One file. Its elements stay the same while its state changes. */
class Row {
  /**
   * @param {Entry} entry
   * @param {Queue} queue
   * @param {(entry: Entry) => void} open
   */
  constructor(entry, queue, open) {
    this.entry = entry;
    this.name = button(entry.name, () => open(entry), "name");
    this.verdict = cell("outcome");
    this.probability = cell("probability");
    this.people = cell("people");
    this.state = html("span");
    this.action = button("", () => (entry.isPending ? queue.cancel(entry) : queue.tryAgain([entry])), "button small");
    // A click anywhere on the row opens it; the button is what the keyboard reaches.
    this.element = html(
      "tr",
      { role: "row" },
      html("th", { role: "rowheader", scope: "row" }, this.name),
      this.verdict,
      this.probability,
      this.people,
      html("td", { role: "cell", class: "state" }, this.state, this.action),
    );
    this.element.addEventListener("click", ({ target }) => {
      if (target instanceof Element && !target.closest("button")) this.name.click();
    });
  }

  show() {
    const { answer, canBeTriedAgain, isPending, name, state } = this.entry;
    this.element.dataset.state = state;
    this.name.disabled = state !== "done" && state !== "failed";
    this.state.textContent = stateText(this.entry);
    this.action.textContent = isPending ? "Cancel" : "Try again";
    this.action.setAttribute("aria-label", `${this.action.textContent}: ${name}`);
    this.action.hidden = !isPending && !canBeTriedAgain;
    if (!answer) return;
    const { outcome, headline } = answer.metadata.statement;
    this.verdict.dataset.band = OUTCOME_BANDS[outcome];
    this.verdict.replaceChildren(sign(OUTCOME_BANDS[outcome]), headline);
    this.probability.textContent = percent(answer.confidence_score);
    this.people.textContent = String(answer.metadata.people_found);
  }

  /** @param {boolean} isOpen */
  mark(isOpen) {
    this.element.classList.toggle("open", isOpen);
    if (isOpen) this.name.setAttribute("aria-current", "true");
    else this.name.removeAttribute("aria-current");
  }
}

/** @param {Entry} entry */
function stateText({ file, problem, sentBytes, state }) {
  if (state === "uploading") return `Uploading ${file.size ? Math.floor((100 * sentBytes) / file.size) : 0}\u00a0%`;
  if (state === "failed") return `Failed: ${problem?.title}`;
  return { waiting: "Waiting", analysing: "Analysing …", done: "Done", cancelled: "Cancelled" }[state];
}

/**
 * @param {string} text
 * @param {() => void} press
 * @param {string} [name] of its class
 */
function button(text, press, name = "button") {
  const made = /** @type {HTMLButtonElement} */ (html("button", { type: "button", class: name }, text));
  made.addEventListener("click", press);
  return made;
}

/**
 * @param {string} title
 * @param {() => void} sort
 */
function head(title, sort) {
  return html("th", { role: "columnheader", scope: "col" }, button(title, sort, "sort"));
}

/** @param {string} name */
function cell(name) {
  return html("td", { role: "cell", class: name });
}
