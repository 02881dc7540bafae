"""Everything the evaluation raises. What is wrong with a single file is a row of the result instead.

EvaluationError
├── DatasetError          the directory, or its real/ or fake/, is missing or holds no image and no video
├── OutputError           the result cannot be written
│   └── OutputExistsError     there is an earlier one
├── ComparisonError       results that cannot be set side by side
├── DegradationError      an option that names no degradation, or a value out of its range
└── ModelChangedError     another model answers than at the start
"""


class EvaluationError(Exception):
    """Root of the evaluation's exceptions; `str()` says what is wrong and what to do."""


class DatasetError(EvaluationError):
    """The directory cannot be evaluated."""


class OutputError(EvaluationError):
    """The result cannot be written."""


class OutputExistsError(OutputError):
    """The output directory holds an earlier result."""


class ComparisonError(EvaluationError):
    """Results that cannot be set side by side."""


class DegradationError(EvaluationError):
    """A `--degrade` option that names no degradation, or a value out of its range."""


class ModelChangedError(EvaluationError):
    """Another model answers than at the start: its scores cannot stand in one result with the earlier ones."""
