/** Sends a file to /detect. XMLHttpRequest, because fetch does not tell how far an upload is. */

/** @typedef {import("../shared/types.js").Answer} Answer */

const INCLUDED = ["crops", "scores", "models", "stability", "further_frames"];

/** What went wrong, in the API's words where it has answered. */
export class Problem extends Error {
  /** @param {{title: string, message: string, code: string, requestId?: string, status?: number, frames?: {index: number, status: string}[]}} said */
  constructor(said) {
    super(said.message);
    this.title = said.title;
    this.code = said.code;
    this.requestId = said.requestId ?? "";
    this.status = said.status ?? 0;
    this.frames = said.frames ?? [];
  }

  /** Whether the same file may be taken another time. */
  get mayPass() {
    return this.status >= 500 || [401, 429].includes(this.status) || this.code === "UNREACHABLE";
  }
}

/**
 * @param {File} file
 * @param {object} options
 * @param {"thumbnails" | "all_thumbnails"} options.pictures Which frames' pictures come with the answer.
 * @param {(share: number) => void} options.onProgress With how much has been sent, 0-1.
 * @param {() => void} options.onSent Everything has been sent; the analysis runs.
 * @param {AbortSignal} options.signal Rejects with its reason.
 * @param {string} options.apiKey Sent along if there is one; kept nowhere.
 * @returns {Promise<{answer: Answer, requestId: string}>} Rejects with a Problem.
 */
export function detect(file, { pictures, onProgress, onSent, signal, apiKey }) {
  const form = new FormData();
  for (const part of [...INCLUDED, pictures]) form.append("include", part);
  form.append("file", file);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    signal.addEventListener("abort", () => request.abort(), { once: true });
    request.upload.addEventListener("progress", (event) => onProgress(event.loaded / event.total));
    request.upload.addEventListener("load", onSent);
    request.addEventListener("abort", () => reject(signal.reason));
    request.addEventListener("error", async () => reject((await isReadable(file)) ? unreachable() : unreadable()));
    request.addEventListener("load", () => {
      const body = parsed(request.responseText);
      const requestId = request.getResponseHeader("X-Request-ID") ?? "";
      if (request.status === 200 && body) resolve({ answer: body, requestId });
      else reject(refusal(request, body, requestId));
    });
    request.open("POST", "detect");
    request.setRequestHeader("Accept", "application/json");
    if (apiKey) request.setRequestHeader("Authorization", `Bearer ${apiKey}`);
    request.send(form);
  });
}

/** @param {string} text */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/**
 * @param {XMLHttpRequest} request
 * @param {any} body
 * @param {string} requestId
 */
function refusal(request, body, requestId) {
  return new Problem({
    title: body?.error ?? "Unexpected answer",
    message: body?.message ?? "The answer did not come from the detection service, or came incomplete.",
    code: body?.code ?? `HTTP_${request.status}`,
    requestId: body?.request_id ?? requestId,
    status: request.status,
    frames: Array.isArray(body?.frames) ? body.frames : [],
  });
}

function unreachable() {
  return new Problem({
    title: "The service cannot be reached",
    message: "The connection was closed before an answer came.",
    code: "UNREACHABLE",
  });
}

/** Whether the file is still what was chosen: it may have had to wait. @param {File} file */
async function isReadable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

/** What became of a file between its choice and its turn. */
export function unreadable() {
  return new Problem({
    title: "The file cannot be read",
    message: "The browser cannot read the file. It may not be allowed to, or the file was moved, changed or deleted after it was chosen.",
    code: "FILE_UNREADABLE",
  });
}
