/** Takes one file from the file dialog, a drop anywhere on the page, or the clipboard. */

import { byId } from "../shared/dom.js";

/**
 * @param {(file: File, ignored: number) => void} take Called with the first file and how many others there were.
 * @param {(name: string) => void} refuseFolder Called with the name of a dropped folder, which cannot be read like a file.
 */
export function watchForFiles(take, refuseFolder) {
  const input = /** @type {HTMLInputElement} */ (byId("file"));
  input.addEventListener("change", () => {
    takeFirst(input.files, take);
    input.value = ""; // so that choosing the same file again is a change
  });
  document.addEventListener("paste", (event) => takeFirst(event.clipboardData?.files, take));
  watchForDrops(take, refuseFolder);
}

/**
 * @param {(file: File, ignored: number) => void} take
 * @param {(name: string) => void} refuseFolder
 */
function watchForDrops(take, refuseFolder) {
  let depth = 0; // drag events come for every element that is crossed
  /** @param {number} now */
  const enter = (now) => {
    depth = now;
    document.body.classList.toggle("dropping", depth > 0);
  };
  document.addEventListener("dragenter", (event) => {
    if (carriesFiles(event)) enter(depth + 1);
  });
  document.addEventListener("dragleave", (event) => {
    if (carriesFiles(event)) enter(Math.max(depth - 1, 0));
  });
  document.addEventListener("dragover", (event) => {
    if (!carriesFiles(event) || !event.dataTransfer) return;
    event.preventDefault(); // or the browser would leave the page and show the file
    event.dataTransfer.dropEffect = "copy";
  });
  document.addEventListener("drop", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    enter(0);
    const entry = event.dataTransfer?.items[0]?.webkitGetAsEntry();
    if (entry?.isDirectory) refuseFolder(entry.name);
    else takeFirst(event.dataTransfer?.files, take);
  });
}

/** @param {DragEvent} event */
function carriesFiles(event) {
  return event.dataTransfer?.types.includes("Files") ?? false;
}

/**
 * @param {FileList | null | undefined} files
 * @param {(file: File, ignored: number) => void} take
 */
function takeFirst(files, take) {
  if (files?.length) take(files[0], files.length - 1);
}
