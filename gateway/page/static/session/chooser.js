/** Takes files from the file dialogs, from a drop anywhere on the page, or from the clipboard. */

import { byId } from "../shared/dom.js";
import { droppedEntries } from "./folder.js";
import { Entry } from "./queue.js";

const ADDRESS = /^(https?:\/\/|www\.)\S+$/i;
const ABOUT_ADDRESSES = "That is an address. The service fetches nothing from the web: save the file on your device, then drop or choose it here.";

/**
 * @param {(entries: Entry[]) => void} take Those of a folder have its name before theirs.
 * @param {(text: string) => void} say Called with what to do instead, where something else was pasted or dropped.
 */
export function watchForFiles(take, say) {
  /** @param {Iterable<File> | null | undefined} files */
  const takeFiles = (files) => {
    const entries = [...(files ?? [])].map((file) => new Entry(file, file.webkitRelativePath || file.name));
    if (entries.length) take(entries);
  };
  for (const id of ["file", "folder"]) {
    const input = /** @type {HTMLInputElement} */ (byId(id));
    input.addEventListener("change", () => {
      takeFiles(input.files);
      input.value = ""; // so that choosing the same files again is a change
    });
  }
  document.addEventListener("paste", (event) => {
    takeFiles(event.clipboardData?.files);
    const isField = event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement;
    if (!isField && ADDRESS.test(event.clipboardData?.getData("text/plain").trim() ?? "")) say(ABOUT_ADDRESSES);
  });
  watchForDrops(take, say);
}

/**
 * @param {(entries: Entry[]) => void} take
 * @param {(text: string) => void} say
 */
function watchForDrops(take, say) {
  let isOurs = false; // a picture or a link of this page is dragged
  document.addEventListener("dragstart", () => (isOurs = true));
  document.addEventListener("dragend", () => (isOurs = false));
  /** Files, or a link. @param {DragEvent} event */
  const isTaken = ({ dataTransfer: data }) =>
    !isOurs && data !== null && data.types.some((type) => type === "Files" || type === "text/uri-list");

  let depth = 0; // drag events come for every element that is crossed
  /** @param {number} now */
  const enter = (now) => {
    depth = now;
    document.body.classList.toggle("dropping", depth > 0);
  };
  document.addEventListener("dragenter", (event) => {
    if (isTaken(event)) enter(depth + 1);
  });
  document.addEventListener("dragleave", (event) => {
    if (isTaken(event)) enter(Math.max(depth - 1, 0));
  });
  document.addEventListener("dragover", (event) => {
    if (!isTaken(event) || !event.dataTransfer) return;
    event.preventDefault(); // or the browser would leave the page and show the file
    event.dataTransfer.dropEffect = "copy";
  });
  document.addEventListener("drop", async (event) => {
    if (!isTaken(event) || !event.dataTransfer) return;
    event.preventDefault();
    enter(0);
    if (event.dataTransfer.types.includes("Files")) take(await droppedEntries(event.dataTransfer));
    else say(ABOUT_ADDRESSES);
  });
}
