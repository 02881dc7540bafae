/** Faces drawn over a picture of their frame. A click selects the person; for the keyboard the list of people does. */

import { shownBand } from "../shared/bands.js";
import { svg } from "../shared/dom.js";
import { percent } from "../shared/format.js";

/** @typedef {import("../shared/types.js").Face} Face */
/** @typedef {import("../shared/types.js").Frame} Frame */
/** @typedef {import("../shared/types.js").Metadata} Metadata */
/** @typedef {import("../shared/types.js").Thumbnail} Thumbnail */
/** @typedef {import("../shared/selection.js").Selection} Selection */

const LABEL_WIDTH_PX = 76;
const LABEL_HEIGHT_PX = 26;
const SMALL_PICTURE_PX = 320;

/**
 * The marks, to lie over a picture of any size. Places are percentages of the frame.
 * @param {Frame} frame
 * @param {Pick<Thumbnail, "width_px" | "height_px" | "scale">} thumbnail Of this frame or another of the same size.
 * @param {Metadata} metadata
 * @param {Selection} selection
 * @returns {SVGElement}
 */
export function faceMarks(frame, thumbnail, metadata, selection) {
  const width = thumbnail.width_px / thumbnail.scale;
  const height = thumbnail.height_px / thumbnail.scale;
  const several = metadata.people.length > 1;
  const { faces } = frame;
  const marks = faces.map((face) => mark(face, width, height, several, metadata));
  const layer = svg("svg", { class: several ? "faces several" : "faces", "aria-hidden": "true" }, ...marks);
  const show = () => {
    marks.forEach((one, i) => one.classList.toggle("selected", several && faces[i].person === selection.person));
  };
  marks.forEach((one, i) => {
    const { person } = faces[i];
    if (several && person !== null) one.addEventListener("click", () => selection.choose({ person }));
  });
  selection.addEventListener("change", show);
  show();
  new ResizeObserver(([{ contentRect }]) => fitLabels(marks, faces, contentRect, [width, height])).observe(layer);
  return layer;
}

/**
 * Labels have one size on the screen: how they fit depends on how large the picture is shown. A label is put into its
 * box where there is no room above. The score is left out in a small picture, and where a label would meet another one,
 * cover its face or leave the picture.
 * @param {SVGElement[]} marks
 * @param {Face[]} faces
 * @param {DOMRectReadOnly} shown
 * @param {[number, number]} size Width and height of the frame.
 */
function fitLabels(marks, faces, shown, [width, height]) {
  const [across, down] = [shown.width / width, shown.height / height];
  const boxes = faces.map(({ face_box: [x0, y0, x1], person }) => {
    return { hasLabel: person !== null, left: x0 * across, right: x1 * across, top: y0 * down };
  });
  marks.forEach((one, i) => {
    const { left, right, top } = boxes[i];
    const isLow = top < LABEL_HEIGHT_PX;
    const isNarrow = (isLow ? right : shown.width) - left < LABEL_WIDTH_PX;
    const meets = boxes.some((other, j) => {
      const isNear = Math.abs(other.left - left) < LABEL_WIDTH_PX && Math.abs(other.top - top) < LABEL_HEIGHT_PX;
      return j !== i && other.hasLabel && isNear;
    });
    one.classList.toggle("low", isLow);
    one.classList.toggle("short", isNarrow || meets || shown.width < SMALL_PICTURE_PX);
  });
}

/** @param {number} px @param {number} whole */
const share = (px, whole) => `${(px / whole) * 100}%`;

/**
 * @param {Face} face
 * @param {number} width of the frame
 * @param {number} height
 * @param {boolean} several Whether it has to be said whose face it is.
 * @param {Metadata} metadata
 */
function mark(face, width, height, several, metadata) {
  const [x0, y0, x1, y1] = face.face_box;
  const corner = { x: share(x0, width), y: share(y0, height) };
  const place = { ...corner, width: share(x1 - x0, width), height: share(y1 - y0, height), rx: 4 };
  const p = face.fake_probability;
  return svg(
    "g",
    { class: `face ${p === null ? "unjudged" : shownBand(p, metadata)}` },
    svg("rect", { class: "halo", ...place }),
    svg("rect", { class: "line", ...place }),
    several && p !== null ? label(`${face.person}`, percent(p), corner) : null,
  );
}

/**
 * @param {string} person
 * @param {string} score
 * @param {{x: string, y: string}} corner
 */
function label(person, score, corner) {
  const text = svg("text", {}, person, svg("tspan", { class: "of-face", dx: 6 }, score));
  return svg("svg", { class: "label", ...corner }, text);
}
