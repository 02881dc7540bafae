"""Faces in a picture: MediaPipe's two models, run by OpenVINO or by MediaPipe itself."""

from preprocessing.face_detection.finder import FaceFinder
from preprocessing.face_detection.model import FULL_RANGE_MODEL, SHORT_RANGE_MODEL, Face

__all__ = ["FULL_RANGE_MODEL", "SHORT_RANGE_MODEL", "Face", "FaceFinder"]
