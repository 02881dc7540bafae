"""Everything the local deployment raises.

DeployError            a reason not to start, or to stop: one line that says what to do
├── PreflightError     this machine or environment cannot run the service
└── StartError         a process did not start, or never answered
"""


class DeployError(Exception):
    """Root of the deployment's exceptions; `str()` is one clear line."""


class PreflightError(DeployError):
    """This machine or environment cannot run the service."""


class StartError(DeployError):
    """A process did not start, or never answered."""
