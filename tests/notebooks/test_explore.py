"""The notebook, run from top to bottom by nbclient as its README says, on pictures made here."""

import ast
import base64
import importlib
import io
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from nbclient import NotebookClient
from PIL import Image

from export.release import Release
from tests.obvious_fakes import CALIBRATION_PHOTOS, HELD_OUT_PHOTOS, TRAIN_PHOTOS, Squares, write_squares
from tests.service import ROOT, Service

NOTEBOOK = ROOT / "notebooks" / "explore.ipynb"
SHEETS, PLOTS = ("faces", "forgeries", "worst"), ("training", "histograms")
_BLUE = (0x00, 0x72, 0xB2)
"""Of the curves and points."""
_CELL_TIMEOUT_S = 300

Outputs = dict[str, list[Any]]
"""Of each code cell by its id."""


@dataclass(frozen=True)
class Explored:
    """An executed notebook and the training output that it made."""

    outputs: Outputs
    run: Path


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("explored")
    write_squares(folder / "train", Squares(TRAIN_PHOTOS[:6], 8))
    write_squares(folder / "val", Squares(CALIBRATION_PHOTOS[:2], 4))
    write_squares(folder / "test", Squares(HELD_OUT_PHOTOS, 4))
    return folder


@pytest.fixture(scope="module")
def explored(data_dir: Path, service: Service, tmp_path_factory: pytest.TempPathFactory) -> Explored:
    """A tiny model is trained, and a real Triton serves another one."""
    place = tmp_path_factory.mktemp("kernel")
    settings = {
        "EXPLORE_DATA_DIR": str(data_dir),
        "EXPLORE_OUTPUT": str(place / "explored"),
        "EXPLORE_SERVICE": service.grpc,
        "EXPLORE_EPOCHS": "40",
        "EXPLORE_SHOWN": "5",
        "EXPLORE_RUN": "",
    }
    return Explored(execute(place, settings), place / "explored" / "run")


def execute(place: Path, settings: Mapping[str, str]) -> Outputs:
    """Runs the notebook in a kernel of this interpreter that keeps its files in `place`."""
    spec = place / "kernels" / "this-python"
    spec.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(json.dumps({"argv": command, "display_name": "this", "language": "python"}))
    kept = {"JUPYTER_PATH": str(place), "JUPYTER_RUNTIME_DIR": str(place / "runtime"), "IPYTHONDIR": str(place)}
    environment = {**kept, "JUPYTER_CONFIG_DIR": str(place), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "default"}
    with pytest.MonkeyPatch.context() as patched:
        patched.delenv("PYTEST_CURRENT_TEST", raising=False)  # with it ipykernel leaves out what native code writes
        for name, value in {**environment, **settings}.items():
            patched.setenv(name, value)
        notebook = nbformat.read(NOTEBOOK, as_version=4)
        resources = {"metadata": {"path": str(ROOT)}}
        NotebookClient(notebook, timeout=_CELL_TIMEOUT_S, kernel_name="this-python", resources=resources).execute()
    return {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}


def printed(outputs: Outputs, cell: str) -> str:
    return "".join(output.text for output in outputs[cell] if output.output_type == "stream")


def figure_pixels(explored: Explored, cell: str) -> np.ndarray:
    """A cell's only figure, (H, W, 3) uint8 RGB."""
    (png,) = [output.data["image/png"] for output in explored.outputs[cell] if output.output_type == "display_data"]
    with Image.open(io.BytesIO(base64.b64decode(png))) as figure:
        return np.asarray(figure.convert("RGB"))


def test_the_committed_notebook_has_no_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) > 5
    for cell in code:
        assert cell.outputs == []
        assert cell.execution_count is None
    assert not any("attachments" in cell for cell in notebook.cells)
    assert NOTEBOOK.stat().st_size < 40_000


def test_the_cells_parse_and_their_imports_work() -> None:
    """The short form of the tests below."""
    source = TransformerManager()
    imported = 0
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        if cell.cell_type != "code":
            continue
        for node in ast.parse(source.transform_cell(cell.source)).body:
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module or "")
                assert [name.name for name in node.names if not hasattr(module, name.name)] == []
                imported += 1
    assert imported > 15


@pytest.mark.long
@pytest.mark.timeout(600)  # the first use of the notebook's outputs runs it
def test_every_figure_is_a_picture(explored: Explored) -> None:
    for cell in SHEETS:
        colours = np.unique(figure_pixels(explored, cell).reshape(-1, 3), axis=0)
        assert len(colours) > 5000, f"{cell}: no photographs are drawn"
    for cell in PLOTS:
        assert (figure_pixels(explored, cell) == _BLUE).all(axis=2).sum() > 100, f"{cell}: no data are drawn"


@pytest.mark.long
@pytest.mark.timeout(600)
def test_no_library_writes_into_the_pages(explored: Explored) -> None:
    outputs = [output for cell in explored.outputs.values() for output in cell]
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_data_are_counted(explored: Explored) -> None:
    said, *lines = printed(explored.outputs, "counts").splitlines()
    assert "is left alone" in said  # the data set's own messages are shown
    assert [line.split() for line in lines[:4]] == [
        ["train", "fake", "48", "files"],
        ["train", "real", "48", "files"],
        ["val", "fake", "8", "files"],
        ["val", "real", "8", "files"],
    ]
    assert lines[4] == "people or sources that are named: 8"


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_tiny_model_tells_held_out_files_apart(explored: Explored) -> None:
    assert re.search(
        r"^kept: epoch \d+, validation AUC [01]\.\d{4}, log loss", printed(explored.outputs, "training"), re.M
    )
    found = re.search(r"held-out AUC ([01]\.\d+).*: 12 real and 12 fake files", printed(explored.outputs, "scores"))
    assert found
    assert float(found[1]) > 0.9
    assert "expected calibration error 0." in printed(explored.outputs, "histograms")


@pytest.mark.long
@pytest.mark.timeout(600)
def test_scores_come_from_the_service(explored: Explored, service: Service, tiny_release: Release) -> None:
    said = printed(explored.outputs, "service")
    assert f"service: {service.grpc}; model seeded-untrained@fp32-{tiny_release.release_id}, another checkpoint" in said
    assert "Untrained weights" in said
    rows = re.findall(r"^(real|fake)/\S+ +([01]\.\d{4}) +([01]\.\d{4})  (?:real|fake|uncertain)$", said, re.M)
    assert len(rows) == 10
    assert {label for label, *_ in rows} == {"real", "fake"}


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_finished_run_is_explored_as_it_is(
    explored: Explored, data_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Without a server: the same client in this process scores as the notebook does."""
    place = tmp_path_factory.mktemp("again")
    outputs = execute(
        place,
        {
            "EXPLORE_DATA_DIR": str(data_dir),
            "EXPLORE_OUTPUT": str(place / "explored"),
            "EXPLORE_RUN": str(explored.run),
            "EXPLORE_SERVICE": "",
            "EXPLORE_SHOWN": "2",
        },
    )
    assert printed(outputs, "training").splitlines()[-1] == printed(explored.outputs, "training").splitlines()[-1]
    assert printed(outputs, "scores") == printed(explored.outputs, "scores")
    said = printed(outputs, "service")
    assert "service: in this process" in said
    difference = re.search(r"largest difference ([\d.]+)", said)
    assert difference
    assert float(difference[1]) < 1e-4
