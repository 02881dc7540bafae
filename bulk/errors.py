"""Everything a bulk run raises.

BulkError
├── ListingError       the listing cannot be read, or names nothing that can be scored
├── OutputError        the output folder cannot be used: unsuitable, written by another run, of another listing
│   └── NotWrittenError    a shard or the plan cannot be written
├── ServiceLostError   no server has scored anything for as long as was to be waited for
├── ModelChangedError  another model answers than the one that began
├── NodeError          a machine of the cluster does not see the files or the output folder
├── ClusterError       Ray cannot be reached, or failed
└── IncompleteError    the check found files without a row, rows without a file, or one twice
"""


class BulkError(Exception):
    """Root of a bulk run's exceptions; `str()` says what is wrong and what to do."""


class ListingError(BulkError):
    """The listing cannot be read, or names nothing that can be scored."""


class OutputError(BulkError):
    """The output folder cannot be used."""


class NotWrittenError(OutputError):
    """A part of the output cannot be written."""


class ServiceLostError(BulkError):
    """No server has scored anything for as long as was to be waited for."""


class ModelChangedError(BulkError):
    """Another model answers than the one that began, and one output holds the scores of one model."""


class NodeError(BulkError):
    """A machine of the cluster does not see the files or the output folder."""


class ClusterError(BulkError):
    """Ray cannot be reached, or failed."""


class IncompleteError(BulkError):
    """The output does not hold exactly one row for each file that was listed."""
