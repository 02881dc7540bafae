"""Everything the export raises."""


class ExportError(Exception):
    """Root of the export's exceptions; `str()` says what is wrong and what to do."""


class CheckpointError(ExportError):
    """The checkpoint cannot be loaded, or is of a kind that cannot be served."""


class HubUnreachableError(CheckpointError):
    """The hub did not answer in time, and the checkpoint is not in its local cache."""


class LabelError(CheckpointError):
    """The labels do not say which class is fake."""


class GpuError(ExportError):
    """This machine lacks the GPU, the driver or the TensorRT that an export is built with."""


class GoldenError(ExportError):
    """Golden images are damaged, or the model does not score them as recorded."""


class ParityError(ExportError):
    """The exported graph does not compute what the checkpoint computes."""


class FlatScoresError(ExportError):
    """The checkpoint says nearly the same of every picture."""


class ReleaseError(ExportError):
    """A release is damaged or cannot be written."""
