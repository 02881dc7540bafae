"""Options that several commands have, as types of their parameters."""

from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from deepfake_client.release import FakeWhen


def _print_version(ctx: typer.Context, wanted: bool) -> None:
    if wanted:
        program = ctx.find_root().info_name
        try:
            number = version("deepfake-client" if program == "deepfake-detect" else "deepfake-serving")
        except PackageNotFoundError:
            number = "unknown"
        typer.echo(f"{program} {number}")
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
]
"""Of a parameter `_version`, False by default."""

Url = Annotated[
    str,
    typer.Option(
        envvar="DEEPFAKE_URL",
        help="host:port of Triton's gRPC endpoint, or several separated by commas, over which the work is spread; "
        "dns:///NAME:PORT for several servers behind one name; or the directory of a release or checkpoint, which then "
        "runs in this process.",
    ),
]

TimeoutS = Annotated[
    float | None, typer.Option(min=0.001, show_default="60.0", help="Deadline of each file in seconds.")
]
"""None: that of the client's settings."""

OutageWaitS = Annotated[
    float,
    typer.Option(min=0, help="How long a server that is away or overloaded during the run is waited for, in seconds."),
]

FakeLabels = Annotated[
    list[str] | None,
    typer.Option(help="Names of the fake classes, separated by commas, where a model's labels do not say."),
]


NAMED = (
    "Hub id or directory of a model; several, with commas between them, or a folder with fusion.json that names them, "
    "are fused."
)
"""Help of what names checkpoints."""

WHOLE_IMAGE = "Those of several models, separated by commas, that are given the whole image, not the face."
"""Help of what names these checkpoints."""

FakeWhenOption = Annotated[
    FakeWhen | None,
    typer.Option("--fake-when", help="Whether the single output of a model without classes is high or low for fakes."),
]


def split_names(given: list[str] | None) -> tuple[str, ...]:
    """The names that commas separate, of an option that may be given again."""
    return tuple(name for text in given or () for name in map(str.strip, text.split(",")) if name)


Seed = Annotated[int, typer.Option(min=0, help="Seed of everything random.")]
