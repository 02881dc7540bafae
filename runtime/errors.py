"""Why an exported classifier cannot be run here.

ClassifierLoadError              the classifier's folder is damaged, or needs what is not here
├── UnsupportedPrecisionError    this processor does not compute in its numeric format
├── NoGpuError                   it needs a GPU, and none of one kind is visible
└── WrongMachineError            it was built for another GPU, driver or TensorRT
ClassifierRunError               a GPU failed while it ran
"""


class ClassifierLoadError(Exception):
    """The classifier's folder is damaged, or needs what is not installed."""


class UnsupportedPrecisionError(ClassifierLoadError):
    """This processor does not compute in the numeric format of the export."""


class NoGpuError(ClassifierLoadError):
    """No GPU is visible, or GPUs of several kinds are."""


class WrongMachineError(ClassifierLoadError):
    """What was built for one GPU, driver and TensorRT is to be run with others."""


class ClassifierRunError(Exception):
    """A GPU failed while a classifier ran."""
