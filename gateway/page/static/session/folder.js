/** What was dropped, with all that lies in its folders, and which of it can be analysed. */

import { byId } from "../shared/dom.js";
import { Entry } from "./queue.js";
import { unreadable } from "./upload.js";

/**
 * Must be called while the drop is handled: a browser forgets what was dropped after that.
 * @param {DataTransfer} data
 * @returns {Promise<Entry[]>} In the order of their names within each folder.
 */
export async function droppedEntries(data) {
  const items = [...data.items].filter((item) => item.kind === "file");
  const found = items.map((item) => ({ handle: item.webkitGetAsEntry(), file: item.getAsFile() }));
  const entries = [];
  for (const { handle, file } of found) {
    if (handle?.isDirectory) await addFolder(/** @type {FileSystemDirectoryEntry} */ (handle), entries);
    else if (file) entries.push(new Entry(file, file.name));
  }
  return entries;
}

/**
 * @param {FileSystemDirectoryEntry} folder
 * @param {Entry[]} entries Those of the folder and of the folders in it are added.
 */
async function addFolder(folder, entries) {
  for (const child of await children(folder)) {
    try {
      if (child.isDirectory) await addFolder(/** @type {FileSystemDirectoryEntry} */ (child), entries);
      else entries.push(new Entry(await fileOf(/** @type {FileSystemFileEntry} */ (child)), child.fullPath.slice(1)));
    } catch {
      entries.push(new Entry(new File([], child.name), child.fullPath.slice(1), unreadable()));
    }
  }
}

/** In the order of their names. @param {FileSystemDirectoryEntry} folder */
async function children(folder) {
  const reader = folder.createReader();
  /** @type {FileSystemEntry[]} */
  const all = [];
  // A call gives some of them, about a hundred; one that gives none has reached the end.
  for (let some; (some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject))).length; ) {
    all.push(...some);
  }
  return all.sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
}

/** @param {FileSystemFileEntry} handle @returns {Promise<File>} */
function fileOf(handle) {
  return new Promise((resolve, reject) => handle.file(resolve, reject));
}

/**
 * Leaves out what lies in a folder and is hidden, or neither an image nor a video by its type or suffix. A file that
 * came by itself always stays: whoever chose it wants an answer.
 * @param {Entry[]} entries
 * @returns {{media: Entry[], leftOut: Map<string, number>}} How many were left out, by suffix; hidden ones not counted.
 */
export function onlyMedia(entries) {
  const suffixes = new Set(/** @type {HTMLInputElement} */ (byId("file")).accept.split(","));
  const leftOut = new Map();
  const media = entries.filter(({ file, name, problem }) => {
    const [, ...inFolder] = name.split("/");
    if (problem || !inFolder.length) return true;
    if (inFolder.some((part) => part.startsWith("."))) return false;
    const suffix = /\.[^.]+$/.exec(file.name)?.[0].toLowerCase() ?? "without a suffix";
    if (/^(image|video)\//.test(file.type) || suffixes.has(suffix)) return true;
    leftOut.set(suffix, (leftOut.get(suffix) ?? 0) + 1);
    return false;
  });
  return { media, leftOut };
}
