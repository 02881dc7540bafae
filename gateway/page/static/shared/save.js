/** Hands a file over that was made in the browser. */

import { html } from "./dom.js";

/**
 * @param {string} name
 * @param {string} content
 * @param {string} type Its media type.
 */
export function saveFile(name, content, type) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  html("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
