/** Faces drawn over a picture of their frame: a click selects the person. The list of people does it for the keyboard. */

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
 * @param {Thumbnail} thumbnail Of this frame or another of the same size.
 * @param {Metadata} metadata
 * @param {Selection} selection
 * @returns {SVGElement}
 */
export function faceMarks(frame, thumbnail, metadata, selection) {
  const width = thumbnail.width_px / thumbnail.scale;
  const height = thumbnail.height_px / thumbnail.scale;
  const several = metadata.people.length > 1;
  const marks = frame.faces.map((face) => mark(face, width, height, several, metadata));
  const layer = svg("svg", { class: "faces", "aria-hidden": "true" }, ...marks);
  const show = () => {
    marks.forEach((one, i) => one.classList.toggle("selected", several && frame.faces[i].person === selection.person));
  };
  marks.forEach((one, i) => {
    const { person } = frame.faces[i];
    if (several && person !== null) one.addEventListener("click", () => selection.choose({ person }));
  });
  selection.addEventListener("change", show);
  show();
  new ResizeObserver(([{ contentRect: shown }]) => fitLabels(marks, frame.faces, shown, [width, height])).observe(layer);
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
  const boxes = faces.map(({ face_box: [x0, y0, x1], person }) => {
    return { person, left: (x0 / width) * shown.width, right: (x1 / width) * shown.width, top: (y0 / height) * shown.height };
  });
  marks.forEach((one, i) => {
    const { left, right, top } = boxes[i];
    const isLow = top < LABEL_HEIGHT_PX;
    const isNarrow = (isLow ? right : shown.width) - left < LABEL_WIDTH_PX;
    const meets = boxes.some((other, j) => j !== i && other.person !== null && Math.abs(other.left - left) < LABEL_WIDTH_PX && Math.abs(other.top - top) < LABEL_HEIGHT_PX);
    one.classList.toggle("low", isLow);
    one.classList.toggle("short", isNarrow || meets || shown.width < SMALL_PICTURE_PX);
  });
}

/**
 * @param {Face} face
 * @param {number} width of the frame
 * @param {number} height
 * @param {boolean} several Whether it has to be said whose face it is.
 * @param {Metadata} metadata
 */
function mark(face, width, height, several, metadata) {
  const [x0, y0, x1, y1] = face.face_box;
  const x = (px) => `${(px / width) * 100}%`;
  const y = (px) => `${(px / height) * 100}%`;
  const place = { x: x(x0), y: y(y0), width: x(x1 - x0), height: y(y1 - y0), rx: 4 };
  const p = face.fake_probability;
  return svg(
    "g",
    { class: `face ${p === null ? "unjudged" : shownBand(p, metadata)}` },
    svg("rect", { class: "halo", ...place }),
    svg("rect", { class: "line", ...place }),
    several && p !== null ? label(`${face.person}`, percent(p), { x: x(x0), y: y(y0) }) : null,
  );
}

/**
 * @param {string} person
 * @param {string} score
 * @param {{x: string, y: string}} corner
 */
function label(person, score, corner) {
  return svg("svg", { class: "label", ...corner }, svg("text", {}, person, svg("tspan", { class: "of-face", dx: 6 }, score)));
}
