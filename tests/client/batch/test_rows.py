"""What rows hold of a release of several models."""

import csv
import io
import json
from pathlib import Path

from deepfake_client.batch.rows import CSV_COLUMNS, CommaSeparated, JsonLines
from deepfake_client.batch.scoring import FileReport
from tests.client.evidence.cases import TWO_MODELS, made_output


def test_json_lines_hold_each_models_score_and_csv_keeps_its_columns() -> None:
    output = made_output([0.7], model=TWO_MODELS, is_video=False, members=[(0.9, 0.2)], keep_frames=False)
    lines, table = io.StringIO(), io.StringIO()
    JsonLines().write_row(FileReport(Path("a.jpg"), output), lines)
    CommaSeparated().write_row(FileReport(Path("a.jpg"), output), table)
    metadata = json.loads(lines.getvalue())["metadata"]
    assert [(model["name"], model["fake_probability"]) for model in metadata["models"]] == [
        ("example/face", 0.9), ("example/whole", 0.2),
    ]  # fmt: skip
    assert metadata["frame_predictions"][0]["faces"][0]["models"] == [0.9, 0.2]
    (row,) = csv.reader(io.StringIO(table.getvalue()))
    assert len(row) == len(CSV_COLUMNS)
    assert "MODELS_DISAGREE" in row[CSV_COLUMNS.index("findings")].split()
