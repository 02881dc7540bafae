"""Draws how the embedded checkpoint learnt: `python -m training.embedded.curves FOLDER PICTURE`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from training.embedded.recipe import Recipe
from training.errors import DatasetError


@dataclass(frozen=True)
class Curve:
    """One stage's validations.

    Attributes:
        stage: Its name.
        pictures: Pictures seen until each validation, of all stages so far; a forgery and its original are two.
        auc: Of each validation, over people that nothing is trained on.
    """

    stage: str
    pictures: tuple[float, ...]
    auc: tuple[float, ...]


def read_curves(stages: Path, recipe: Recipe) -> list[Curve]:
    """The validations of all stages, from their history.json.

    Args:
        stages: The folder of the stages.
        recipe: What they were trained by.

    Raises:
        DatasetError: A stage has no history.
    """
    curves, before = [], 0.0
    pictures_an_epoch = 2.0 * (recipe.faces + recipe.scenes)
    for stage in recipe.stages:
        path = stages / stage.name / "history.json"
        if not path.is_file():
            raise DatasetError(f"{path} is not there: train first")
        history = json.loads(path.read_text(encoding="utf-8"))
        seen = tuple(before + pictures_an_epoch * row["epoch"] for row in history)
        curves.append(Curve(stage.name, seen, tuple(row["auc"] for row in history)))
        before = seen[-1]
    return curves


def draw(curves: list[Curve], picture: Path) -> None:
    """Writes the curves as one picture, PNG or SVG by its ending."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.add_subplot()
    for curve in curves:
        axes.plot([n / 1000 for n in curve.pictures], curve.auc, marker=".", label=f"stage {curve.stage}")
    axes.axhline(0.5, color="grey", linewidth=0.8, linestyle=":")
    axes.set_xlabel("pictures seen, thousands")
    axes.set_ylabel("AUC on people not trained on")
    axes.legend(loc="lower right", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(picture, dpi=120)


def main(
    folder: Annotated[Path, typer.Argument(help="What `make embedded` made.")],
    picture: Annotated[Path, typer.Argument(help="PNG or SVG to write.")],
) -> None:
    """Draws the validation AUC of all stages over the pictures seen."""
    draw(read_curves(folder / "stages", Recipe()), picture)


if __name__ == "__main__":
    typer.run(main)
