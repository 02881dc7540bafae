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
 * @property {number} scale pixels of the thumbnail for each pixel of the frame
 * @property {string[]} reasons why the frame matters; empty where it does not
 * @property {string} explanation the reasons in words
 *
 * @typedef {object} Crop A face as the model saw it
 * @property {number} index of the frame
 * @property {number | null} person null for a whole frame
 * @property {string} image data: URL of a JPEG
 * @property {number} width_px
 * @property {number} height_px
 *
 * @typedef {"signs" | "no_signs" | "inconclusive" | "not_assessable" | "no_verdict"} Outcome
 *
 * @typedef {object} Statement The verdict in words
 * @property {Outcome} outcome
 * @property {string} headline
 * @property {string} explanation
 * @property {string} calibration "" where there is no verdict
 *
 * @typedef {object} Stability What the deciding face scores after small changes
 * @property {string | null} skipped why it is missing
 * @property {StableFace[]} faces
 *
 * @typedef {object} StableFace
 * @property {number} index of the frame
 * @property {Box | null} face_box null where the whole picture was scored
 * @property {number} fake_probability unchanged, 0-1
 * @property {{change: string, fake_probability: number}[]} variants
 * @property {number} lowest
 * @property {number} highest
 *
 * @typedef {object} CardReference
 * @property {string} name
 * @property {string} [licence]
 * @property {string} [route] where the card is served
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
 * @property {CardReference} [model_card]
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
 * @property {number} frames that show them
 * @property {number} fake_probability 0-1
 * @property {number} largest_face_px shorter side
 * @property {number | null} first_s
 * @property {number | null} last_s
 *
 * @typedef {object} ModelScore One of several models that are fused
 * @property {string} name
 * @property {boolean} whole_image whether it always sees the whole picture
 * @property {boolean} calibrated
 * @property {number} weight of its log-odds in the fused ones
 * @property {number} fake_probability by itself, 0-1
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
 * @property {number} people_found
 * @property {Person[]} people
 * @property {number | null} deciding_person
 * @property {string} sha256
 * @property {Model} model
 * @property {boolean} assessable
 * @property {Statement} statement
 * @property {Finding[]} findings the worst first
 * @property {Record<string, number>} scores 0-100
 * @property {Bands} verdict_bands
 * @property {Thumbnail[]} thumbnails
 * @property {Crop[]} [crops] the most suspicious person first
 * @property {Stability} [stability]
 * @property {ModelScore[]} [models] of several
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
