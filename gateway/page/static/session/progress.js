/** The upload and the analysis while they run. */

import { byId, html } from "../shared/dom.js";
import { size, time } from "../shared/format.js";

const TICK_MS = 100;
const ANNOUNCE_SHARE = 0.25;

/** Shows one file on its way; `end` takes it away. */
export class ProgressPanel {
  /**
   * @param {File} file
   * @param {string | null} previewUrl
   * @param {(text: string) => void} announce
   * @param {() => void} onCancel
   */
  constructor(file, previewUrl, announce, onCancel) {
    this.announce = announce;
    this.announced = 0;
    this.startedMs = performance.now();
    this.bar = /** @type {HTMLProgressElement} */ (html("progress", { max: 1, value: 0, "aria-labelledby": "progress-title" }));
    this.phase = html("span", { class: "phase" });
    this.clock = html("span", { class: "clock", role: "timer" });
    const cancel = html("button", { type: "button", class: "button" }, "Cancel");
    cancel.addEventListener("click", onCancel);
    this.panel = byId("progress");
    this.panel.replaceChildren(
      previewUrl ? html("img", { class: "preview", src: previewUrl, alt: "" }) : "",
      html("div", { class: "running" }, html("h2", { id: "progress-title" }, file.name), this.bar, html("p", {}, this.phase, this.clock)),
      cancel,
    );
    this.panel.hidden = false;
    this.timer = setInterval(() => this.#tick(), TICK_MS);
    this.#tick();
    cancel.focus();
    this.sent(0, file.size);
    announce(`Uploading ${file.name}`);
  }

  /**
   * @param {number} sentBytes
   * @param {number} totalBytes
   */
  sent(sentBytes, totalBytes) {
    const share = totalBytes ? sentBytes / totalBytes : 0;
    this.bar.value = share;
    this.phase.textContent = `Uploading: ${size(sentBytes)} of ${size(totalBytes)}`;
    if (share < 1 && share >= this.announced + ANNOUNCE_SHARE) {
      this.announced = share;
      this.announce(`${Math.round(share * 100)} % uploaded`);
    }
  }

  /** From now on it is not known how far it is. */
  analysing() {
    this.bar.removeAttribute("value");
    this.phase.textContent = "Analysing …";
    this.announce("Uploaded. Analysing …");
  }

  /** Takes the panel away. */
  end() {
    clearInterval(this.timer);
    this.panel.hidden = true;
    this.panel.replaceChildren();
  }

  #tick() {
    this.clock.textContent = time((performance.now() - this.startedMs) / 1000, 1);
  }
}
