"""What ends a bulk run."""

from deepfake_client.command_line.exits import EXIT_USAGE

EXIT_CLUSTER = 5


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
