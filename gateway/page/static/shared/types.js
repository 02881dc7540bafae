/**
 * The shapes of what the service answers; /docs has the whole of it. This module holds types only.
 *
 * @typedef {"real" | "fake" | "uncertain"} Verdict
 * @typedef {[number, number, number, number]} Box x0, y0, x1, y1 in pixels
 *
 * @typedef {object} Face
 * @property {Box} face_box
 * @property {number} face_score 0-1
 * @property {number | null} fake_probability 0-1; null for a face that was not scored
 * @property {number | null} person likewise
 *
 * @typedef {object} Frame What is not in `faces` speaks of the largest one
 * @property {number} index
 * @property {number} timestamp_s
 * @property {string} status
 * @property {number | null} fake_probability 0-1
 * @property {Box | null} face_box
 * @property {number} face_score
 * @property {Face[]} faces the largest first
 *
 * @typedef {object} Segment Sampled frames above the fake band, one after another
 * @property {number} start_s
 * @property {number} end_s
 * @property {number | null} person
 * @property {number} mean_probability 0-1
 *
 * @typedef {object} Thumbnail
 * @property {number} index
 * @property {number} timestamp_s
 * @property {string} image data: URL of a JPEG
 * @property {number} width_px
 * @property {number} height_px
 * @property {Box | null} face_box in pixels of the thumbnail
 *
 * @typedef {object} Bands
 * @property {number} real_below
 * @property {number} fake_above
 *
 * @typedef {object} Model
 * @property {string} name
 * @property {string} release_id
 * @property {number} export_id
 * @property {string} precision
 * @property {string[]} labels
 * @property {boolean} trained
 * @property {string} [notice]
 *
 * @typedef {object} Finding
 * @property {string} code
 * @property {"info" | "warning" | "critical"} severity
 * @property {string} message
 *
 * @typedef {object} Provenance
 * @property {{state: string | null, not_read: string | null, signer: string | null, issuer: string | null}} [content_credentials]
 * @property {{source: string, name: string, value: string}[]} statements
 * @property {boolean} has_location
 * @property {string[]} digital_source_types
 *
 * @typedef {object} Person
 * @property {number} person from 1
 * @property {number} fake_probability 0-1
 *
 * @typedef {object} Metadata
 * @property {"image" | "video"} input_type
 * @property {string} format
 * @property {number} frames_analyzed
 * @property {number} frames_failed
 * @property {Frame[]} frame_predictions
 * @property {Frame[]} [further_frame_predictions] around what stands out
 * @property {Segment[]} [segments] of a video
 * @property {number} faces_detected
 * @property {Person[]} people
 * @property {number | null} deciding_person
 * @property {string} sha256
 * @property {Model} model
 * @property {boolean} assessable
 * @property {Finding[]} findings the worst first
 * @property {Record<string, number>} scores 0-100
 * @property {Bands} verdict_bands
 * @property {Thumbnail[]} thumbnails
 * @property {Provenance} [provenance]
 *
 * @typedef {object} Answer
 * @property {Verdict} result
 * @property {number} confidence_score the fake probability, 0-1
 * @property {number} processing_time_seconds
 * @property {Metadata} metadata
 * @property {string} model_version
 *
 * @typedef {object} Entry An analysed file that is opened
 * @property {File} file
 * @property {Answer} answer
 * @property {string} requestId
 * @property {string} previewUrl object URL of the file; "" where the browser does not take it for media it can show
 */

export {};
