"""The command line: `deepfake-dataset`."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Literal

import typer

from deepfake_client.command_line.exits import USAGE, fail, require_packages, run
from deepfake_client.command_line.help import new_app, styled
from deepfake_client.command_line.options import Seed, Version
from deepfake_client.plain_text import shown
from training.datasets.items import Item, Part
from training.datasets.layouts import LEVELS, read_celebdf, read_dfdc, read_faceforensics, read_folder
from training.datasets.parts import assign_parts, at_most, require_classes, without_method
from training.datasets.writing import write_links, write_list
from training.errors import OptionError, TrainingError

PROGRAM = "deepfake-dataset"

EXIT_CODES = {0: "written", 1: "the data set or the output cannot be used: nothing is written", **USAGE}
EXAMPLES = (
    "deepfake-dataset import faceforensics /data/ff++ my-set --compression c23",
    "deepfake-dataset import celebdf /data/celeb-df-v2 celeb --max-per-method 500",
    "deepfake-dataset import folder /data/mine my-set --levels method/person \\\n  --leave-out faceswap",
)
GROUPS = {"compression": "Layout", "test_fraction": "Choice", "form": "Results"}

app = new_app(PROGRAM)


@app.callback()
def dataset_command(_version: Version = False) -> None:
    """Makes training data of data sets as they are downloaded."""


@app.command("import", cls=styled(EXIT_CODES, EXAMPLES, GROUPS))
def import_command(
    layout: Annotated[
        Literal["faceforensics", "celebdf", "dfdc", "folder"],
        typer.Argument(metavar="LAYOUT", help="faceforensics, celebdf, dfdc, or folder: real/ and fake/."),
    ],
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="The data set's folder.", file_okay=False)],
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="Folder of the training data; must not exist.")],
    compression: Annotated[
        str, typer.Option(show_default="the only one", help="Of faceforensics: raw, c23 or c40.")
    ] = "",
    levels: Annotated[
        str,
        typer.Option(
            show_default="none",
            help="Of folder: what each level below real/ and fake/ is, such as method/person; - says nothing.",
        ),
    ] = "",
    test_fraction: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of the files to test on, where the data set has no split.")
    ] = 0.2,
    leave_out: Annotated[
        str, typer.Option(show_default="none", help="Method whose fakes are kept for the test, which has no others.")
    ] = "",
    max_per_method: Annotated[
        int, typer.Option(min=0, help="Files of each method, class and part at most, drawn at random; 0: all.")
    ] = 0,
    seed: Seed = 0,
    form: Annotated[
        Literal["links", "list"], typer.Option(help="links: a folder for deepfake-train; list: files.csv alone.")
    ] = "links",
) -> None:
    """Imports a data set: nobody is in two parts, and every file has its people and its method.

    Links to the files are made, none is copied. Train on OUTPUT and measure on OUTPUT/test.
    """
    require_packages(PROGRAM, {"scipy": "evaluate"})
    try:
        if output.exists():
            raise OptionError(f"{output} is there already; choose another folder")
        items = _read(layout, source, compression, levels)
        parts = assign_parts(items, test_fraction, seed)
        if leave_out:
            parts = without_method(items, parts, leave_out)
        require_classes(items, parts)
        if max_per_method:
            parts = at_most(items, parts, max_per_method, seed)
        chosen = [(item, part) for item, part in zip(items, parts, strict=True) if part]
        (write_links if form == "links" else write_list)(chosen, output)
    except TrainingError as error:
        fail(PROGRAM, str(error), 1)
    _print(chosen, len(items), output)


def _read(layout: str, source: Path, compression: str, levels: str) -> list[Item]:
    named = levels.split("/") if levels else []
    if wrong := [level for level in named if level not in LEVELS]:
        raise OptionError(f"--levels has {wrong[0]!r}; a level is one of {', '.join(LEVELS)}")
    if layout == "faceforensics":
        return read_faceforensics(source, compression)
    if layout == "folder":
        return read_folder(source, named)
    return (read_celebdf if layout == "celebdf" else read_dfdc)(source)


def _print(chosen: list[tuple[Item, Part]], found: int, output: Path) -> None:
    counts = Counter((part, item.label.value, item.method) for item, part in chosen)
    for (part, label, method), count in sorted(counts.items()):
        print(shown(f"{part:<6}{label:<6}{method:<24}{count:>7} files"))
    people = {part: {name for item, its in chosen if its == part for name in item.people} for _, part in chosen}
    for part, names in people.items():
        print(f"{part:<36}{len(names):>7} people")
    print(f"left out {found - len(chosen)} of {found} files; written to {output}")


def main() -> None:
    """Entry point of the console script."""
    run(app, PROGRAM)


if __name__ == "__main__":
    main()
