"""A real headless Chromium for tests of the page, and what it reports."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service as DriverService

CHROMIUM = Path(os.environ.get("CHROMIUM") or "/usr/bin/chromium")
CHROMEDRIVER = Path(os.environ.get("CHROMEDRIVER") or "/usr/bin/chromedriver")
INSTALL_COMMAND = "sudo apt-get install --no-install-recommends chromium chromium-driver"

_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--force-device-scale-factor=1", "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip

# Runs in each document before its own scripts, outside its Content-Security-Policy.
_WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(`${event.effectiveDirective}: ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
});
"""


@contextmanager
def chromium(folder: Path, width_px: int = 1200, height_px: int = 900) -> Iterator[Chrome]:
    """A browser with an empty profile below `folder`, which also takes its downloads.

    Raises:
        RuntimeError: Chromium or its driver is not installed.
    """
    if not (CHROMIUM.exists() and CHROMEDRIVER.exists()):
        raise RuntimeError(f"this needs Chromium and its driver; run: {INSTALL_COMMAND}")
    options = ChromeOptions()
    options.binary_location = str(CHROMIUM)
    profile = folder / "profile"
    for flag in (*_FLAGS, f"--user-data-dir={profile}", f"--window-size={width_px},{height_px}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options, DriverService(executable_path=str(CHROMEDRIVER)))
    try:
        downloads = folder / "downloads"
        downloads.mkdir()
        driver.execute_cdp_cmd(
            "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(downloads), "eventsEnabled": True}
        )
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": _WATCH})
        yield driver
    finally:
        driver.quit()


def emulate(
    driver: Chrome,
    width_px: int,
    height_px: int,
    *,
    dark: bool = False,
    reduced_motion: bool = True,
    forced_colors: bool = False,
) -> None:
    """Another window size and other wishes of the user."""
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width_px, "height": height_px, "deviceScaleFactor": 1, "mobile": width_px < 600},
    )
    features = [
        {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
        {"name": "prefers-reduced-motion", "value": "reduce" if reduced_motion else "no-preference"},
        {"name": "forced-colors", "value": "active" if forced_colors else "none"},
    ]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def drop_files(driver: Chrome, paths: Sequence[Path], x_px: int, y_px: int) -> None:
    """Drags files and folders over the page and drops them, through the browser's own input handling."""
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        driver.execute_cdp_cmd("Input.dispatchDragEvent", {"type": kind, "x": x_px, "y": y_px, "data": data})


def requested_urls(driver: Chrome) -> list[str]:
    """Every address that the pages have asked for since the last call."""
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]


def complaints(driver: Chrome) -> list[str]:
    """Violations of the Content-Security-Policy, and what the console has as warnings or errors."""
    logged = [entry["message"] for entry in driver.get_log("browser") if entry["level"] in ("WARNING", "SEVERE")]
    violations: list[str] = driver.execute_script("return window.violations")
    return violations + logged


def accessibility_tree(driver: Chrome) -> list[dict[str, Any]]:
    """What assistive technology gets: role, name and properties of each node that is not ignored."""
    nodes = driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    return [
        {
            "role": node.get("role", {}).get("value"),
            "name": node.get("name", {}).get("value", ""),
            **{prop["name"]: prop["value"].get("value") for prop in node.get("properties", [])},
        }
        for node in nodes
        if not node.get("ignored")
    ]


def low_contrast(driver: Chrome, least: float = 4.5) -> list[str]:
    """Visible text whose contrast with the ground it stands on is below the least, by WCAG's formula.

    Large text (24 px, or bold from 18.66 px) needs 3. Text in SVG is measured against the ground of the SVG.
    """
    found: list[str] = driver.execute_script(_LOW_CONTRAST, least)
    return found


def overlapping_texts(driver: Chrome, selector: str) -> list[str]:
    """Visible texts below an element that lie over each other, or over a picture, by more than a pixel."""
    found: list[str] = driver.execute_script(_OVERLAPPING, selector)
    return found


_OVERLAPPING = """
const boxes = [];
const root = document.querySelector(arguments[0]);
for (const image of root.querySelectorAll("img")) {
  if (!image.closest(".picture") && image.checkVisibility()) boxes.push([image, image.getBoundingClientRect()]);
}
const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const node = walker.currentNode;
  const element = node.parentElement;
  if (!node.data.trim() || !element.checkVisibility() || element.closest(".visually-hidden")) continue;
  const range = document.createRange();
  range.selectNodeContents(node);
  for (const box of range.getClientRects()) boxes.push([node, box]);
}
const meet = (a, b) =>
  Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 &&
  Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
return boxes.flatMap(([node, box], i) =>
  boxes
    .slice(i + 1)
    .filter(([other, its]) => other !== node && meet(box, its))
    .map(([other]) => `${node.data ?? node.src.slice(0, 40)} / ${other.data}`),
);
"""


_LOW_CONTRAST = """
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const rgba = (colour) => {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = colour;
  canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data].map((v, i) => (i === 3 ? v / 255 : v));
};
const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]));
const ground = (element) => {
  const layers = [];
  for (let at = element; at; at = at.parentElement) {
    const colour = rgba(getComputedStyle(at).backgroundColor);
    layers.push(colour);
    if (colour[3] === 1) break;
  }
  return layers.reduceRight((below, top) => over(top, below), [255, 255, 255]);
};
const luminance = (colour) => {
  const [r, g, b] = colour.map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const faint = new Set();
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const text = walker.currentNode.data.trim();
  const element = walker.currentNode.parentElement;
  if (!text || !element.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
  if (element.closest(".visually-hidden, .skip, noscript, option, script, style")) continue;
  const style = getComputedStyle(element);
  const size = parseFloat(style.fontSize);
  const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
  const below = ground(element);
  const ink = over(rgba(element.namespaceURI.endsWith("svg") ? style.fill : style.color), below);
  const [light, dark] = [luminance(ink), luminance(below)].sort((a, b) => b - a);
  const ratio = (light + 0.05) / (dark + 0.05);
  if (ratio < (large ? Math.min(3, arguments[0]) : arguments[0])) {
    const name = element.className.baseVal ?? element.className;
    faint.add(`${ratio.toFixed(2)} "${text.slice(0, 30)}" .${name} ${style.color}`);
  }
}
return [...faint];
"""
