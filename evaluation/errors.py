"""Everything the evaluation raises. What is wrong with a single file is a row of the result instead.

EvaluationError
├── DatasetError                 the directory cannot be evaluated
│   ├── MissingFolderError       it, or its real/ or fake/, is no directory
│   └── EmptyFolderError         real/ or fake/ holds no image and no video
├── OutputError                  the result cannot be written
│   └── OutputExistsError        there is an earlier one
├── ComparisonError              results that cannot be set side by side
├── DegradationError             an option that names no degradation, or a value out of its range
├── FrameError                   a frame cannot be degraded
│   ├── FrameDecodeError         its pixels cannot be read
│   └── FrameTooLargeError       it, or what is made of it, is over a limit
└── ServerLostError              no answer can be had from the server any more
    └── ModelChangedError        another model answers than at the start
"""

from typing import ClassVar


class EvaluationError(Exception):
    """Root of the evaluation's exceptions; `str()` says what is wrong and what to do.

    Attributes:
        code: Upper-case code for programs, as in the rows of the result.
    """

    code: ClassVar[str] = "EVALUATION_FAILED"


class DatasetError(EvaluationError):
    """The directory cannot be evaluated."""

    code = "DATASET"


class MissingFolderError(DatasetError):
    """A directory is not there."""

    code = "FOLDER_MISSING"


class EmptyFolderError(DatasetError):
    """A class has no file."""

    code = "FOLDER_EMPTY"


class OutputError(EvaluationError):
    """The result cannot be written."""

    code = "OUTPUT"


class OutputExistsError(OutputError):
    """The output directory holds an earlier result."""

    code = "OUTPUT_EXISTS"


class ComparisonError(EvaluationError):
    """Results that cannot be set side by side."""

    code = "COMPARISON"


class DegradationError(EvaluationError):
    """A `--degrade` option that names no degradation, or a value out of its range."""

    code = "DEGRADATION"


class FrameError(EvaluationError):
    """A frame cannot be degraded."""

    code = "FRAME"


class FrameDecodeError(FrameError):
    """The pixels of a frame cannot be read."""

    code = "FRAME_DECODE_FAILED"


class FrameTooLargeError(FrameError):
    """A frame has too many pixels, or the degraded frames of a file hold too many bytes."""

    code = "FRAME_TOO_LARGE"


class ServerLostError(EvaluationError):
    """No answer can be had from the server any more."""

    code = "SERVER_LOST"


class ModelChangedError(ServerLostError):
    """Another model answers than at the start: its scores cannot stand in one result with the earlier ones."""

    code = "MODEL_CHANGED"
