"""The commands that users meet, by what they type."""

import typer

from benchmark.cli import app as bench
from bulk.cli import app as bulk
from deepfake_client.batch.cli import app as detect
from deploy.gpu_release import app as gpu_release
from deploy.local import app as serve
from evaluation.cli import app as evaluate
from evaluation.compare import app as compare
from evaluation.stretches.chances import app as chances
from export.cli import app as export
from gateway.__main__ import app as gateway
from gateway.new_key import app as new_key
from training.calibration.cli import app as calibrate
from training.calibration.video_rules import app as video_rules
from training.cli import app as train
from training.datasets.cli import app as dataset
from training.embedded.build import app as build
from training.embedded.false_alarms import app as false_alarms

PROGRAMS: dict[str, typer.Typer] = {
    "deepfake-bench": bench,
    "deepfake-bulk": bulk,
    "deepfake-calibrate": calibrate,
    "deepfake-dataset": dataset,
    "deepfake-detect": detect,
    "deepfake-evaluate": evaluate,
    "deepfake-export": export,
    "deepfake-serve": serve,
    "deepfake-train": train,
}

MODULES: dict[str, typer.Typer] = {
    "deploy.gpu_release": gpu_release,
    "evaluation.compare": compare,
    "evaluation.stretches.chances": chances,
    "gateway": gateway,
    "gateway.new_key": new_key,
    "training.calibration.video_rules": video_rules,
    "training.embedded.build": build,
    "training.embedded.false_alarms": false_alarms,
}
"""Called with `python -m`."""

DEVELOPERS = {"training.embedded.build"}
"""Run in the environment of `make embedded`, which has every package."""
