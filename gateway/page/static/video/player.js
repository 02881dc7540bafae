/** The local file, played by the browser from its object URL. */

import { faceMarks } from "../result/faces.js";
import { html } from "../shared/dom.js";

/** @typedef {import("../shared/selection.js").Selection} Selection */
/** @typedef {import("../shared/types.js").Frame} Frame */
/** @typedef {import("../shared/types.js").Metadata} Metadata */

const LOAD_TIMEOUT_MS = 5000;

/** Seeks go that far into a frame: times are rounded, and just before its time the frame before it is shown. */
const INTO_FRAME_S = 0.001;

/**
 * Whether this browser can play a video file: whether it shows its first frame within seconds.
 * @param {File} file
 * @returns {Promise<boolean>}
 */
export async function canPlay(file) {
  const url = URL.createObjectURL(file);
  const video = videoOf(url);
  const shows = await showsPicture(video);
  release(video);
  URL.revokeObjectURL(url);
  return shows;
}

/**
 * A player that goes to the selected frame, and selects the frame that it has passed last.
 * @param {string} url Of the file.
 * @param {Metadata} metadata
 * @param {Frame[]} frames In the order of time.
 * @param {Selection} selection
 * @param {{onTime: (time_s: number) => void, onUnplayable: () => void}} listeners `onTime` gets the place of what is
 *     shown, in seconds from the video's first frame.
 * @returns {HTMLElement}
 */
export function player(url, metadata, frames, selection, { onTime, onUnplayable }) {
  const video = videoOf(url);
  const element = html("div", { class: "player" }, video);
  const showFaces = faceLayers(element, video, metadata, selection);
  let start_s = NaN; // when the first frame is shown; a file need not begin at 0
  let shown_s = NaN;
  let isFollowing = false;

  const goToSelected = () => {
    const frame = frames.find(({ index }) => index === selection.frame);
    if (frame) video.currentTime = start_s + frame.timestamp_s + INTO_FRAME_S;
  };
  const update = () => {
    if (Number.isNaN(start_s)) return;
    const now_s = video.ended ? Infinity : video.currentTime - start_s;
    onTime(now_s);
    const passed = frames.findLast((frame) => frame.timestamp_s <= now_s) ?? frames[0];
    isFollowing = true;
    if (passed.index !== selection.frame) selection.choose({ frame: passed.index });
    isFollowing = false;
    const isShown = video.paused && Math.abs(passed.timestamp_s - shown_s) < INTO_FRAME_S;
    showFaces(isShown ? passed : null);
  };
  const watch = () =>
    video.requestVideoFrameCallback?.((_, { mediaTime }) => {
      watch(); // before the next seek
      const isFirst = Number.isNaN(start_s);
      if (isFirst) start_s = mediaTime;
      shown_s = mediaTime - start_s;
      if (isFirst) goToSelected();
      update();
    });

  selection.addEventListener("change", () => {
    if (isFollowing || Number.isNaN(start_s)) return;
    video.pause();
    video.controls = false; // they lie over the picture
    goToSelected();
    update();
  });
  for (const type of ["play", "pause", "seeked", "ended"]) video.addEventListener(type, update);
  video.addEventListener("loadedmetadata", () => element.classList.toggle("tall", video.videoHeight > video.videoWidth));
  showControlsOnDemand(element, video);
  watch();
  showsPicture(video).then((shows) => {
    if (shows) return;
    release(video);
    onUnplayable();
  });
  return element;
}

/**
 * Each frame's faces are drawn once.
 * @param {HTMLElement} element The player.
 * @param {HTMLVideoElement} video
 * @param {Metadata} metadata
 * @param {Selection} selection
 * @returns {(frame: Frame | null) => void} Draws the faces of a frame over the video; null takes them away.
 */
function faceLayers(element, video, metadata, selection) {
  /** @type {Map<Frame, SVGElement>} */
  const layers = new Map();
  /** @type {Frame | null} */
  let drawn = null;
  return (frame) => {
    if (frame === drawn) return;
    if (frame && !layers.has(frame)) {
      const size = { width_px: video.videoWidth, height_px: video.videoHeight, scale: 1 };
      layers.set(frame, faceMarks(frame, size, metadata, selection));
    }
    layers.get(drawn)?.remove();
    if (frame) element.append(layers.get(frame));
    drawn = frame;
  };
}

/**
 * The browser's controls lie over the picture: they go with the pointer while a frame is looked at.
 * @param {HTMLElement} element The player.
 * @param {HTMLVideoElement} video
 */
function showControlsOnDemand(element, video) {
  const show = () => (video.controls = true);
  element.addEventListener("pointerenter", show);
  for (const type of ["focus", "play"]) video.addEventListener(type, show);
  element.addEventListener("pointerleave", ({ pointerType }) => {
    if (pointerType === "mouse" && video.paused) video.controls = false;
  });
}

/** @param {string} url */
function videoOf(url) {
  const attributes = { src: url, controls: true, playsinline: true, preload: "auto", tabindex: 0, "aria-label": "The analysed video" };
  return /** @type {HTMLVideoElement} */ (html("video", attributes));
}

/** Lets go of the file. @param {HTMLVideoElement} video */
function release(video) {
  video.removeAttribute("src");
  video.load();
}

/**
 * @param {HTMLVideoElement} video
 * @returns {Promise<boolean>} False after an error, where only the sound can be played, and after some seconds.
 */
function showsPicture(video) {
  return new Promise((resolve) => {
    video.addEventListener("loadeddata", () => resolve(video.videoWidth > 0 && "requestVideoFrameCallback" in video));
    video.addEventListener("error", () => resolve(false));
    setTimeout(resolve, LOAD_TIMEOUT_MS, false);
  });
}
