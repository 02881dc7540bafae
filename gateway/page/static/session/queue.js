/** The files of this tab: one is sent at a time, the others wait their turn. */

import { size } from "../shared/format.js";
import { canPlay } from "../video/player.js";
import { detect, Problem } from "./upload.js";

/** @typedef {import("../shared/types.js").Answer} Answer */
/** @typedef {"waiting" | "uploading" | "analysing" | "done" | "failed" | "cancelled"} State */

/** Of pictures that may be animated. */
const ANIMATED = ["image/gif", "image/webp", "image/avif", "image/apng"];

/** A file, how far it is, and what became of it. */
export class Entry {
  /**
   * @param {File} file
   * @param {string} name With its folders, where it came in one.
   * @param {Problem | null} [problem] Why it cannot be sent.
   */
  constructor(file, name, problem = null) {
    this.file = file;
    this.name = name;
    /** @type {State} */
    this.state = "waiting";
    this.sentBytes = 0;
    this.startedMs = 0;
    /** @type {Answer | null} */
    this.answer = null;
    this.problem = problem;
    this.requestId = "";
    /** Object URL of the local file, "" unless the entry is open. */
    this.previewUrl = "";
  }

  get isRunning() {
    return this.state === "uploading" || this.state === "analysing";
  }

  get isPending() {
    return this.state === "waiting" || this.isRunning;
  }

  get canBeTriedAgain() {
    return this.state === "cancelled" || (this.problem?.mayPass ?? false);
  }
}

/**
 * Fires `added` (with Entry[]) before any of them changes, `change` (with an Entry) for each new state, `progress` (with
 * an Entry) while it is uploaded, and `idle` when none waits any more.
 */
export class Queue extends EventTarget {
  /** @type {Entry[]} in the order in which they came */
  entries = [];
  /** @type {Set<Entry>} Those that came since the queue was idle. */
  batch = new Set();
  /** @type {AbortController | null} */
  #controller = null;

  /**
   * @param {{maxImageBytes: number, maxBodyBytes: number}} limits
   * @param {() => string} apiKey Asked before each file is sent.
   */
  constructor(limits, apiKey) {
    super();
    this.limits = limits;
    this.apiKey = apiKey;
  }

  /**
   * @param {"added" | "change" | "progress" | "idle"} type
   * @param {(detail: any) => void} listener
   */
  on(type, listener) {
    this.addEventListener(type, (event) => listener(/** @type {CustomEvent} */ (event).detail));
  }

  /** @returns {Entry | undefined} The one that is being sent or analysed. */
  get running() {
    return this.entries.find((entry) => entry.isRunning);
  }

  get isIdle() {
    return !this.#controller;
  }

  /** How many wait their turn. */
  get waiting() {
    return this.entries.filter((entry) => entry.state === "waiting").length;
  }

  /** @param {Entry[]} entries */
  add(entries) {
    this.entries.push(...entries);
    this.#start(entries);
  }

  /** Puts failed and cancelled ones back. @param {Entry[]} entries */
  tryAgain(entries) {
    for (const entry of entries) {
      entry.problem = null;
      entry.sentBytes = 0;
      entry.state = "waiting";
    }
    this.#start(entries);
  }

  /** @param {Entry} entry One that waits or runs. */
  cancel(entry) {
    if (entry.isRunning) this.#controller?.abort();
    else if (entry.state === "waiting") this.#set(entry, "cancelled");
  }

  /** Cancels all that wait, and the running one. */
  cancelAll() {
    for (const entry of this.entries.filter((one) => one.isPending).reverse()) this.cancel(entry);
  }

  /** @param {Entry[]} entries */
  async #start(entries) {
    if (this.isIdle) this.batch.clear();
    for (const entry of entries) this.batch.add(entry);
    this.#fire("added", entries);
    for (const entry of entries) this.#check(entry);
    if (!this.isIdle) return;
    for (let next; (next = this.entries.find((entry) => entry.state === "waiting")); ) await this.#send(next);
    this.#controller = null;
    this.#fire("idle", null);
  }

  /**
   * A server that stops reading looks like a lost connection, so what it would refuse is not sent.
   * @param {Entry} entry
   */
  #check(entry) {
    const { maxImageBytes, maxBodyBytes } = this.limits;
    const limit = entry.file.type.startsWith("image/") ? maxImageBytes : maxBodyBytes;
    if (entry.file.size > limit) {
      entry.problem = new Problem({
        title: "Too large",
        message: `The file holds ${size(entry.file.size)}; at most ${size(limit)} are taken. It was not sent.`,
        code: "FILE_TOO_LARGE",
      });
    }
    if (entry.problem) this.#set(entry, "failed");
  }

  /** @param {Entry} entry */
  async #send(entry) {
    this.#controller = new AbortController();
    entry.startedMs = performance.now();
    this.#set(entry, "uploading");
    try {
      const pictures = (await showsFrames(entry.file)) ? "thumbnails" : "all_thumbnails";
      this.#controller.signal.throwIfAborted();
      const { answer, requestId } = await detect(entry.file, {
        pictures,
        onProgress: (sentShare) => {
          entry.sentBytes = sentShare * entry.file.size;
          this.#fire("progress", entry);
        },
        onSent: () => this.#set(entry, "analysing"),
        signal: this.#controller.signal,
        apiKey: this.apiKey(),
      });
      entry.answer = answer;
      entry.requestId = requestId;
      this.#set(entry, "done");
    } catch (error) {
      if (this.#controller.signal.aborted) return this.#set(entry, "cancelled");
      if (!(error instanceof Problem)) throw error;
      entry.problem = error;
      this.#set(entry, "failed");
    }
  }

  /**
   * @param {Entry} entry
   * @param {State} state
   */
  #set(entry, state) {
    entry.state = state;
    this.#fire("change", entry);
  }

  /**
   * @param {string} type
   * @param {Entry | Entry[] | null} detail
   */
  #fire(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/**
 * Whether the browser itself shows every frame of a file. It cannot go to one of an animated picture.
 * @param {File} file
 */
async function showsFrames(file) {
  if (file.type.startsWith("image/")) return !ANIMATED.includes(file.type);
  return canPlay(file);
}
