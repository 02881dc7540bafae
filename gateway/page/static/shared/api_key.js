/** The API key that was typed. It is kept in its field alone. */

/** @returns {string} "" where the service wants none, and so has no field for it. */
export function typedKey() {
  const field = document.querySelector("#api-key");
  return field instanceof HTMLInputElement ? field.value.trim() : "";
}
