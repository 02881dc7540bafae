"""What ends a bulk run, and the exit codes of `deepfake-bulk`."""

EXIT_SOME_FAILED = 1
EXIT_USAGE = 2
EXIT_UNREACHABLE = 3
EXIT_NOT_WRITTEN = 4
EXIT_CLUSTER = 5
EXIT_INTERRUPTED = 130


class BulkError(Exception):
    """Ends a run; what has been written stays. `str()` says what is wrong and what to do.

    Attributes:
        exit_code: Of the command.
    """

    def __init__(self, message: str, exit_code: int = EXIT_USAGE) -> None:
        super().__init__(message, exit_code)
        self.exit_code = exit_code

    def __str__(self) -> str:
        return str(self.args[0])
