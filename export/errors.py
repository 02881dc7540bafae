"""Everything the export raises.

ExportError
├── CheckpointError          the checkpoint cannot be loaded, or is of a kind that cannot be served
│   ├── HubUnreachableError  the hub did not answer in time and nothing is cached
│   └── LabelError           no label says fake or real
├── GpuError                 this machine lacks the GPU, the driver or the TensorRT that the export is built with
├── GoldenError              golden images are damaged, or not scored as they were recorded
├── ParityError              the exported graph drifts from PyTorch beyond the tolerance
└── ReleaseError             a release is damaged or cannot be written
"""


class ExportError(Exception):
    """Root of the export's exceptions; `str()` says what is wrong and what to do."""


class CheckpointError(ExportError):
    """The checkpoint cannot be loaded or served."""


class HubUnreachableError(CheckpointError):
    """The hub did not answer in time, and the checkpoint is not in its local cache."""


class LabelError(CheckpointError):
    """The labels do not say which class is fake."""


class GpuError(ExportError):
    """This machine lacks what a TensorRT export is built with and judged on."""


class GoldenError(ExportError):
    """Golden images are damaged, or the model does not score them as recorded."""


class ParityError(ExportError):
    """The exported graph does not compute what the checkpoint computes."""


class ReleaseError(ExportError):
    """A release is damaged or cannot be written."""
