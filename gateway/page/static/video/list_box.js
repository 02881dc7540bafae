/** Frames to choose from: one stop of the Tab key, arrow keys inside, the selected frame is the selected option. */

/** @typedef {import("../shared/selection.js").Selection} Selection */

const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -Infinity, End: Infinity };

/**
 * Makes a list box follow the selection, and set it.
 * @param {Element} box With role "listbox"; its options have `data-frame`, and may be replaced at any time.
 * @param {Selection} selection
 * @returns {() => void} Marks the selected option; to be called after options were replaced.
 */
export function listBox(box, selection) {
  const options = () => /** @type {(HTMLElement | SVGElement)[]} */ ([...box.querySelectorAll("[role=option]")]);
  const choose = (option) => {
    option.focus();
    selection.choose({ frame: Number(option.dataset.frame) });
  };
  const mark = () => {
    const all = options();
    const selected = all.find((option) => Number(option.dataset.frame) === selection.frame);
    for (const option of all) {
      option.setAttribute("aria-selected", String(option === selected));
      option.setAttribute("tabindex", option === (selected ?? all[0]) ? "0" : "-1");
    }
  };
  box.addEventListener("click", (event) => {
    const option = event.target.closest("[role=option]");
    if (option) choose(option);
  });
  box.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    if (step === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const all = options();
    const to = all.indexOf(event.target.closest("[role=option]")) + step;
    choose(all[Math.min(Math.max(to, 0), all.length - 1)]);
  });
  selection.addEventListener("change", mark);
  mark();
  return mark;
}
