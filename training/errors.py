"""What training refuses.

TrainingError
├── DatasetError       the data set: missing folders, an empty class, nothing readable, no way to split it
├── OptionError        options that do not fit together or a base model that cannot be fine-tuned
├── ResumeError        a run that cannot be taken up again: other data or options
├── StoppedError       asked to stop: what was reached is saved
└── CalibrationError   scores that cannot be calibrated
"""


class TrainingError(Exception):
    """Any failure of this package; its text says what is wrong and what to do."""


class DatasetError(TrainingError):
    """The data set cannot be used."""


class OptionError(TrainingError):
    """The options do not fit together, or the base model cannot be fine-tuned."""


class ResumeError(TrainingError):
    """A run cannot be taken up again."""


class StoppedError(TrainingError):
    """The run was asked to stop; its state is saved.

    Attributes:
        signal_number: The signal that asked; it decides the exit code.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.signal_number = signal_number


class CalibrationError(TrainingError):
    """The scores cannot be calibrated."""
