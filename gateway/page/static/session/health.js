/** Says whether the service works, and shows the model's notice. */

import { byId, html, svg } from "../shared/dom.js";
import { showNotice } from "./notice.js";

const PAUSE_MS = 30_000;

/** Asks now and then every half minute while the page is looked at. */
export function watchHealth() {
  let timer = 0;
  const ask = async () => {
    clearTimeout(timer);
    if (document.visibilityState === "hidden") return;
    await refreshHealth();
    timer = setTimeout(ask, PAUSE_MS);
  };
  document.addEventListener("visibilitychange", ask);
  ask();
}

/** Asks once. */
export async function refreshHealth() {
  try {
    const response = await fetch("health", { headers: { Accept: "application/json" } });
    const health = await response.json();
    if (health.status === "healthy") {
      show("healthy", `Service is healthy · ${health.model}`);
    } else {
      show("unhealthy", `Service is not healthy: ${health.reason ?? "no inference succeeds"}`);
    }
    showNotice(health.trained, health.notice);
  } catch {
    show("unhealthy", "Service does not answer");
  }
}

/**
 * @param {"healthy" | "unhealthy"} state
 * @param {string} text
 */
function show(state, text) {
  const place = byId("health");
  if (place.textContent === text) return; // so that a screen reader hears changes only
  place.dataset.state = state;
  const shape = state === "healthy" ? "M3 8.500 6.500 12 13 4.500" : "M4 4l8 8M12 4l-8 8";
  place.replaceChildren(
    svg("svg", { class: "glyph", viewBox: "0 0 16 16", "aria-hidden": "true" }, svg("path", { d: shape })),
    html("span", {}, text),
  );
}
