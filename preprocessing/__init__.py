"""Bytes to pixels: the one implementation that Triton and in-process detection share."""

from preprocessing.crop import WHOLE_PICTURE, Box, Square, crop_square
from preprocessing.decode import decode_rgb
from preprocessing.face_detection import Face, FaceFinder
from preprocessing.params import (
    CALIBRATIONS_SINCE,
    PREPROCESSING_VERSION,
    FaceDetector,
    PreprocessParams,
    ResizeMode,
    ResizeSpec,
    View,
)
from preprocessing.prepare import MAX_FACES, PreparedImage, Preparer
from preprocessing.resize import resize_to_square
from preprocessing.status import STATUS_TABLE, ImageRejectedError, Status, StatusEntry

__all__ = [
    "CALIBRATIONS_SINCE",
    "MAX_FACES",
    "PREPROCESSING_VERSION",
    "STATUS_TABLE",
    "WHOLE_PICTURE",
    "Box",
    "Face",
    "FaceDetector",
    "FaceFinder",
    "ImageRejectedError",
    "PreparedImage",
    "Preparer",
    "PreprocessParams",
    "ResizeMode",
    "ResizeSpec",
    "Square",
    "Status",
    "StatusEntry",
    "View",
    "crop_square",
    "decode_rgb",
    "resize_to_square",
]
