"""What more people, or a wider model, would bring: `python -m training.embedded.scaling FOLDER`, ten minutes each.

Trains short versions of the recipe, alike but for one thing, and measures each on the people of val.
"""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from assets import default_cache_dir
from evaluation.bootstrap import Estimate
from export.checkpoint import load_checkpoint
from export.checkpoint.hub import locate_checkpoint
from training.embedded.build import CALIBRATION_SEED, VARIANTS
from training.embedded.faces import Photographs, load_photographs
from training.embedded.held_out_media import SIDE_PX, held_out_pictures, write_pictures
from training.embedded.measure import auc_of, score_pictures
from training.embedded.recipe import Recipe
from training.embedded.train_stages import train_stages

_METHODS = ("seen", "strong")


@dataclass(frozen=True)
class Variation:
    """One short training.

    Attributes:
        people: How many of the training's people it sees.
        hidden_size: Width of the model.
    """

    people: int
    hidden_size: int


def short_recipe(recipe: Recipe, hidden_size: int, epochs: int) -> Recipe:
    """The recipe with as many epochs in each stage, and another width."""
    stages = tuple(replace(stage, epochs=epochs) for stage in recipe.stages)
    return replace(recipe, model=replace(recipe.model, hidden_size=hidden_size), stages=stages)


def fewer_people(photographs: Photographs, people: int, seed: int = 0) -> Photographs:
    """Some of the training's people, drawn at random; fewer are always among more. Scenes stay as they are."""
    names = sorted({face.person for face in photographs.train})
    chosen = {names[i] for i in np.random.default_rng(seed).permutation(len(names))[:people]}
    return replace(photographs, train=tuple(face for face in photographs.train if face.person in chosen))


def measure_variation(
    folder: Path, variation: Variation, photographs: Photographs, val: Path, epochs: int
) -> dict[str, Estimate]:
    """Trains it, if that is not done, and measures it.

    Returns:
        AUC with 95% intervals over people, by kind of forgery.
    """
    recipe = short_recipe(Recipe(), variation.hidden_size, epochs)
    name = f"{variation.people}-people-{variation.hidden_size}-wide-{epochs}-epochs"
    trained = train_stages(folder / name, fewer_people(photographs, variation.people), recipe)
    scored = score_pictures(load_checkpoint(locate_checkpoint(str(trained))), val)
    return {method: auc_of(scored, method) for method in _METHODS}


def main(
    folder: Annotated[Path, typer.Argument(help="States, checkpoints and media.")],
    people: Annotated[str, typer.Option(help="Numbers of people, separated by commas.")] = "12,25,49",
    width: Annotated[str, typer.Option(help="Widths, separated by commas; all people are seen by each.")] = "160",
    epochs: Annotated[int, typer.Option(min=1, help="Of each of the three stages.")] = 2,
    photographs: Annotated[Path | None, typer.Option(help="Where the photographs are kept.")] = None,
) -> None:
    """Prints a table of short trainings with fewer people and other widths."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    kept = photographs or default_cache_dir() / "training-photos"
    val = folder / "val"
    if not val.is_dir():
        write_pictures(held_out_pictures(load_photographs(kept, SIDE_PX).val, VARIANTS, CALIBRATION_SEED), val)
    base = Recipe()
    loaded = load_photographs(kept, base.side_px)
    everyone = len({face.person for face in loaded.train})
    variations = [Variation(int(number), base.model.hidden_size) for number in people.split(",")]
    variations += [Variation(everyone, int(value)) for value in width.split(",")]
    print(f"| people | width | {' | '.join(_METHODS)} |\n|---|---|{'---|' * len(_METHODS)}")
    for variation in dict.fromkeys(variations):
        found = measure_variation(folder, variation, loaded, val, epochs)
        cells = [f"{auc.value:.3f} ({auc.low:.3f} to {auc.high:.3f})" for auc in found.values()]
        print(f"| {variation.people} | {variation.hidden_size} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    typer.run(main)
