/** Pictures of frames, with the face marked. */

import { html, svg } from "../shared/dom.js";
import { percent, time } from "../shared/format.js";
import { bandOf, sign } from "../shared/bands.js";

/** @typedef {import("../shared/types.js").Metadata} Metadata */
/** @typedef {import("../shared/types.js").Thumbnail} Thumbnail */
/** @typedef {import("../shared/types.js").Box} Box */

/**
 * The picture of one frame.
 * @param {Thumbnail} thumbnail
 * @param {string} alt
 * @returns {HTMLElement}
 */
export function picture(thumbnail, alt) {
  const { image, width_px: width, height_px: height, face_box: box } = thumbnail;
  return html(
    "div",
    { class: "picture" },
    html("img", { src: image, alt, width, height }),
    box ? faceMark(box, width, height) : null,
  );
}

/**
 * The uploaded image itself, sharper than its thumbnail, which stands in where the browser cannot show the file.
 * @param {string} url of the file, "" if the browser does not take it for an image
 * @param {Metadata} metadata
 * @returns {HTMLElement | null}
 */
export function uploadedPicture(url, metadata) {
  const [frame] = metadata.frame_predictions;
  const [thumbnail] = metadata.thumbnails;
  const alt = frame.face_box ? "The analysed image, with the largest face marked" : "The analysed image";
  const instead = thumbnail ? picture(thumbnail, alt) : null;
  if (!url) return instead;
  const image = /** @type {HTMLImageElement} */ (html("img", { src: url, alt }));
  const whole = html("div", { class: "picture" }, image);
  image.addEventListener("load", () => {
    if (frame.face_box) whole.append(faceMark(frame.face_box, image.naturalWidth, image.naturalHeight));
  });
  image.addEventListener("error", () => (instead ? whole.replaceWith(instead) : whole.remove()));
  return whole;
}

/**
 * The frames that matter, each with its time and probability.
 * @param {Metadata} metadata
 * @returns {HTMLElement | null}
 */
export function pictureList(metadata) {
  if (!metadata.thumbnails.length) return null;
  const frames = new Map(metadata.frame_predictions.map((frame) => [frame.index, frame]));
  const items = metadata.thumbnails.map((thumbnail) => {
    const p = frames.get(thumbnail.index)?.fake_probability ?? 0;
    const place = `Frame ${thumbnail.index + 1} at ${time(thumbnail.timestamp_s)}`;
    const alt = thumbnail.face_box ? `${place}, with the face marked` : `${place}, no face found`;
    return html(
      "li",
      {},
      html(
        "figure",
        {},
        picture(thumbnail, alt),
        html(
          "figcaption",
          {},
          html("span", { class: "when" }, time(thumbnail.timestamp_s)),
          html("span", { class: "score" }, sign(bandOf(p, metadata.verdict_bands)), percent(p)),
        ),
      ),
    );
  });
  return html(
    "section",
    { class: "card", "aria-labelledby": "pictures-title" },
    html("h3", { id: "pictures-title" }, "Frames that matter"),
    html("p", { class: "aside" }, items.length < metadata.frames_analyzed
      ? "The most suspicious frame of each stretch of the video, and the least suspicious of all."
      : "All scored frames."),
    html("ul", { class: "pictures" }, ...items),
  );
}

/**
 * @param {Box} box
 * @param {number} width of the picture, in the box's pixels
 * @param {number} height
 * @returns {SVGElement}
 */
function faceMark([x0, y0, x1, y1], width, height) {
  const place = { x: x0, y: y0, width: x1 - x0, height: y1 - y0, rx: (x1 - x0) * 0.06 };
  return svg(
    "svg",
    { class: "face", viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" },
    svg("rect", { class: "halo", ...place }),
    svg("rect", { ...place }),
  );
}
