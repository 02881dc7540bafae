/** A button that selects a frame or a person, and shows whether it is selected. */

import { html } from "./dom.js";

/**
 * @param {import("./selection.js").Selection} selection
 * @param {{frame?: number, person?: number}} chosen
 * @param {...import("./dom.js").Child} children
 * @returns {HTMLElement}
 */
export function choice(selection, chosen, ...children) {
  const button = html("button", { type: "button", class: "choice" }, ...children);
  button.addEventListener("click", () => selection.choose(chosen));
  const show = () => {
    const { frame = selection.frame, person = selection.person } = chosen;
    const isSelected = frame === selection.frame && person === selection.person;
    button.setAttribute("aria-pressed", String(isSelected));
  };
  selection.addEventListener("change", show);
  show();
  return button;
}
