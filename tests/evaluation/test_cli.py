import errno
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import grpc
import pytest

from evaluation.degradation import STANDARD_SET
from runtime.free_ports import free_ports
from tests.evaluation.conftest import FAKE_P, REAL_P, Evaluate, read_results
from tests.inference_server import DESCRIPTION, InferenceServer, jpeg
from tests.service import ROOT


@pytest.mark.usefixtures("no_figures")
def test_every_file_is_scored(evaluate: Evaluate, server: InferenceServer, folder: Path, tmp_path: Path) -> None:
    done = evaluate(folder, "--url", server.url)
    assert done.exit_code == 0, done.output
    found = read_results(tmp_path / "out")
    metrics = {name: metric["value"] for name, metric in found["metrics"].items()}
    assert metrics["auc"] == pytest.approx(13.5 / 16)
    assert metrics["eer"] == pytest.approx(0.25)
    assert metrics["accuracy"] == 0.75
    assert metrics["uncertain_rate"] == pytest.approx(2 / 8)  # 0.4 and, at the bound, 0.3
    assert metrics["decided_accuracy"] == pytest.approx(5 / 6)
    assert metrics["undecodable_rate"] == metrics["unanswered_rate"] == 0
    assert found["counts"]["real"] == {
        "files": 4, "scored": 4, "undecodable": 0, "unanswered": 0,
        "called_real": 2, "called_fake": 1, "called_uncertain": 1,
    }  # fmt: skip
    assert found["confusion_matrix"]["fake_called_real"] == 1
    assert [file["path"] for file in found["files"]] == [
        f"{label}/{n}.jpg" for label in ("real", "fake") for n in range(4)
    ]
    assert found["files"][4]["fake_probability"] == pytest.approx(0.3)
    assert found["model"]["release_id"] == DESCRIPTION["release_id"]
    assert found["command"]["resamples"] == 100
    assert found["latency"]["concurrency"] == 2
    assert found["server_lost"] is False


@pytest.mark.usefixtures("no_figures")
def test_intervals_are_drawn_over_named_people_and_methods_have_rows(
    evaluate: Evaluate, server: InferenceServer, folder: Path, tmp_path: Path
) -> None:
    """The same files twice, as those of eight people: intervals are as wide as those of eight files."""
    for label in ("real", "fake"):
        (folder / label / "swap").mkdir()
        for number in range(4):
            content = (folder / label / f"{number}.jpg").read_bytes()
            (folder / label / "swap" / f"{number}.jpg").write_bytes(content + b" ")
    alone = evaluate(folder, "--url", server.url, "--output", tmp_path / "alone")
    assert "Nothing says who is in the files" in alone.stdout
    names = [f"{label}/{place}{n}" for label in ("real", "fake") for place in ("", "swap/") for n in range(4)]
    table = tmp_path / "who.csv"
    table.write_text("file,person\n" + "".join(f"{name}.jpg,{name[0]}{name[-1]}\n" for name in names))
    named = evaluate(folder, "--url", server.url, "--people", table, "--prevalence", "0.5")
    assert named.exit_code == 0, named.output
    assert "fewer than 30 people (8)" in named.stdout
    assert "right of verdicts fake, 0.5 fake" in named.stdout
    by_file, by_person = read_results(tmp_path / "alone"), read_results(tmp_path / "out")
    assert by_person["dataset"]["persons"] == 8
    widths = [found["metrics"]["brier"]["high"] - found["metrics"]["brier"]["low"] for found in (by_file, by_person)]
    assert widths[1] > 1.2 * widths[0]
    assert by_person["metrics"]["ppv"]["value"] == pytest.approx(0.75 / (0.75 + 0.25))  # fakes found, false alarms
    assert "no likelihood ratios for some of these files" in by_person["metrics"]["cllr"]["reason"]
    real, fake = by_person["subsets"]
    assert (real["label"], fake["label"], fake["method"], fake["scored"]) == ("real", "fake", "swap", 4)
    assert fake["auc"]["value"] == pytest.approx(13.5 / 16)
    assert (real["called_fake_rate"]["value"], fake["called_fake_rate"]["value"]) == (0.25, 0.75)
    (folder / "method.csv").write_text("file,method\nfake/0.jpg,gan\n")
    evaluate(folder, "--url", server.url, "--people", table, "--overwrite")
    assert [row["method"] for row in read_results(tmp_path / "out")["subsets"]] == ["swap", "swap", "gan"]
    table.write_text("file,person\nreal/nobody.jpg,x\n")
    assert "nobody.jpg" in evaluate(folder, "--url", server.url, "--people", table, "--overwrite").output


def test_a_calibrated_release_has_likelihood_ratios(
    evaluate: Evaluate, server: InferenceServer, folder: Path, tmp_path: Path
) -> None:
    ratios = {"slope": 2.0, "intercept": 0.1, "low": -0.8, "high": 0.9, "cllr": 0.7, "cllr_min": 0.6}
    band = {
        "unit": "images", "real": 300, "fake": 300, "auc": 0.97, "ece_before": 0.1, "ece_after": 0.02, "fpr": 0.01,
        "fpr_upper": 0.03, "fnr": 0.03, "fnr_upper": 0.05, "tpr": {"value": 0.9}, "uncertain": 0.1,
        "likelihood_ratio": ratios,
    }  # fmt: skip
    record = {
        "temperature": 1.7, "max_fpr": 0.01, "max_fnr": 0.05, "face_detection": True, "dataset_sha256": "0" * 64,
        "image": band,
    }  # fmt: skip
    server.behaviour.description = {**DESCRIPTION, "calibration": record}
    done = evaluate(folder, "--url", server.url)
    assert done.exit_code == 0, done.output
    found = read_results(tmp_path / "out")
    log10_lr = [min(max(2 * math.log10(p / (1 - p)) + 0.1, -0.8), 0.9) for p in (*REAL_P, *FAKE_P)]
    cost = [math.log2(1 + 10**x) for x in log10_lr[:4]] + [math.log2(1 + 10**-x) for x in log10_lr[4:]]
    assert found["metrics"]["cllr"]["value"] == pytest.approx(sum(cost) / 8, abs=1e-5)
    assert "tippett.png" in found["figures"]
    assert (tmp_path / "out" / "tippett.png").stat().st_size > 1000


def test_what_is_printed(evaluate: Evaluate, server: InferenceServer, folder: Path) -> None:
    printed = evaluate(folder, "--url", server.url).stdout
    assert "example/detector@fp32-0123456789ab" in printed
    assert "0.844" in printed
    assert "too few real files" in printed
    assert "4 real files are too few for a TPR at 1% FPR" in printed
    assert "\x1b[" not in printed
    assert "no\\x1b[2J is no directory" in evaluate(Path("no\x1b[2J")).stderr
    assert "results.json, roc.png, scores.png, reliability.png" in printed


@pytest.mark.usefixtures("no_figures")
def test_files_that_fail_are_rows(evaluate: Evaluate, server: InferenceServer, folder: Path, tmp_path: Path) -> None:
    (folder / "fake" / "bad.jpg").write_bytes(jpeg("status=6"))
    (folder / "real" / "empty.png").write_bytes(b"")
    (folder / "real" / "zz.jpg").write_bytes(jpeg("p=nan"))
    done = evaluate(folder, "--url", server.url)
    assert done.exit_code == 1, done.output
    found = read_results(tmp_path / "out")
    assert found["metrics"]["auc"]["value"] == pytest.approx(13.5 / 16)
    counts = {label: (row["files"], row["scored"], row["undecodable"], row["unanswered"])
              for label, row in found["counts"].items()}  # fmt: skip
    assert counts == {"real": (6, 4, 1, 1), "fake": (5, 4, 1, 0)}
    assert found["metrics"]["undecodable_rate"]["value"] == pytest.approx(2 / 11)
    errors = {file["path"]: file["error"]["code"] for file in found["files"] if file["error"]}
    assert errors == {
        "real/empty.png": "EMPTY_FILE",
        "real/zz.jpg": "MODEL_FAULT",
        "fake/bad.jpg": "NOTHING_SCORED",
    }
    assert all(file["fake_probability"] is None for file in found["files"] if file["error"])
    assert "fake/bad.jpg" in done.stdout


def test_a_class_without_a_score(evaluate: Evaluate, server: InferenceServer, folder: Path, tmp_path: Path) -> None:
    for path in (folder / "fake").iterdir():
        path.write_bytes(jpeg("status=6"))
    done = evaluate(folder, "--url", server.url)
    assert done.exit_code == 1, done.output
    found = read_results(tmp_path / "out")
    assert found["metrics"]["auc"] == {"value": None, "low": None, "high": None, "reason": "no fake file was scored"}
    assert found["metrics"]["accuracy"]["value"] == 0.75
    assert found["figures"] == ["scores.png"]


def test_nothing_scored_at_all(evaluate: Evaluate, server: InferenceServer, folder: Path, tmp_path: Path) -> None:
    for path in folder.rglob("*.jpg"):
        path.write_bytes(b"no image")
    done = evaluate(folder, "--url", server.url, "--robustness")
    assert done.exit_code == 1, done.output
    found = read_results(tmp_path / "out")
    assert found["metrics"]["brier"]["value"] is None
    assert found["figures"] == []
    assert found["robustness"][0]["mean_abs_dp"]["reason"]


def test_wrong_usage(evaluate: Evaluate, server: InferenceServer, folder: Path, tmp_path: Path) -> None:
    url = ("--url", server.url)
    (tmp_path / "other" / "real").mkdir(parents=True)
    for arguments, says in (
        ((tmp_path / "none", *url), "is no directory"),
        ((tmp_path / "other", *url), "fake/"),
        ((folder, *url, "--degrade", "noise=1"), "no degradation"),
        ((folder, "--url", "nonsense"), "no address"),
        ((folder, *url, "--resamples", "3"), "resamples"),
    ):
        done = evaluate(*arguments)
        assert done.exit_code == 2, arguments
        assert says in done.output
    assert server.received == [], "nothing was scored before the usage was found wrong"
    assert not (tmp_path / "out" / "results.json").exists()


def test_an_earlier_result_is_not_clobbered(
    evaluate: Evaluate, server: InferenceServer, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert evaluate(folder, "--url", server.url, "--svg").exit_code == 0
    before = (out / "results.json").read_bytes()
    (out / "mine.txt").write_text("kept")
    requests = len(server.received)
    refused = evaluate(folder, "--url", server.url)
    assert refused.exit_code == 2
    assert "--overwrite" in refused.output
    assert len(server.received) == requests
    assert (out / "results.json").read_bytes() == before
    assert evaluate(folder, "--url", server.url, "--overwrite").exit_code == 0
    names = {path.name for path in out.iterdir()}
    assert names == {"results.json", "roc.png", "scores.png", "reliability.png", "mine.txt"}, "no figure of the old run"


def test_no_server(evaluate: Evaluate, folder: Path, tmp_path: Path) -> None:
    done = evaluate(folder, "--url", f"127.0.0.1:{free_ports(1)[0]}", "--outage-wait-s", "0")
    assert done.exit_code == 3
    assert "Is `make serve` running?" in done.stderr
    assert not (tmp_path / "out" / "results.json").exists()


@pytest.mark.usefixtures("no_figures")
def test_the_server_is_lost_on_the_way(
    evaluate: Evaluate, server: InferenceServer, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPFAKE_CLIENT_ATTEMPTS", "1")
    infer = server.ModelInfer

    def infer_some(request: object, context: grpc.ServicerContext) -> object:
        if len(server.received) >= 5:
            context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
        return infer(request, context)

    monkeypatch.setattr(server, "ModelInfer", infer_some)
    server.stop()
    server.start()
    done = evaluate(folder, "--url", server.url, "--workers", "1", "--outage-wait-s", "0")
    assert done.exit_code == 3, done.output
    found = read_results(tmp_path / "out")
    assert found["server_lost"] is True
    scored = [file["fake_probability"] is not None for file in found["files"]]
    assert scored == [True] * 5 + [False] * 3
    assert {file["error"]["code"] for file in found["files"] if file["error"]} == {"NOT_TRIED"}
    assert found["counts"]["fake"]["unanswered"] == 3
    assert "The server was lost" in done.stdout


def test_another_model_answers_on_the_way(
    evaluate: Evaluate, server: InferenceServer, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evaluation.scoring.detect_files", _with_another_release)
    done = evaluate(folder, "--url", server.url)
    assert done.exit_code == 3, done.output
    assert "answers now" in done.output
    assert not (tmp_path / "out" / "results.json").exists()


def _with_another_release(*arguments: object, **settings: object) -> object:
    from dataclasses import replace

    from deepfake_client.batch.scoring import detect_files

    for number, report in enumerate(detect_files(*arguments, **settings)):  # type: ignore[arg-type]
        other = replace(report.output, model_version="other") if report.output and number == 2 else report.output
        yield replace(report, output=other)


@pytest.mark.usefixtures("no_figures")
def test_degradations_are_measured_in_pairs(
    evaluate: Evaluate, server: InferenceServer, folder: Path, tmp_path: Path
) -> None:
    """These images are no real ones, so that none can be degraded: rows say so and no number is made up."""
    done = evaluate(
        folder, "--url", server.url, "--degrade", "jpeg=50", "--degrade", "crop=1.6", "--degrade", "jpeg=50"
    )
    assert done.exit_code == 1, done.output
    jpeg_row, crop_row = read_results(tmp_path / "out")["robustness"]
    assert (jpeg_row["degradation"], jpeg_row["failed"], jpeg_row["not_applicable"]) == ("jpeg=50", 8, 0)
    assert (crop_row["failed"], crop_row["not_applicable"]) == (0, 8)
    assert jpeg_row["auc"]["change"] == {
        "value": None, "low": None, "high": None, "reason": "no file has both scores",
    }  # fmt: skip


def test_a_result_that_cannot_be_written(
    evaluate: Evaluate, server: InferenceServer, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    done = evaluate(folder, "--url", server.url)
    assert done.exit_code == 4
    assert "No space left" in done.stderr
    assert "AUC" in done.stdout, "what was measured is not lost"
    assert list((tmp_path / "out").iterdir()) == []


def test_ctrl_c(
    evaluate: Evaluate, server: InferenceServer, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("evaluation.cli.score_files", interrupted)
    done = evaluate(folder, "--url", server.url)
    assert done.exit_code == 130
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.usefixtures("no_figures")
def test_a_file_name_that_is_no_text(evaluate: Evaluate, server: InferenceServer, folder: Path, tmp_path: Path) -> None:
    (folder / "real" / os.fsdecode(b"\xff\x1b[31m.jpg")).write_bytes(jpeg("status=6"))
    done = evaluate(folder, "--url", server.url)
    assert done.exit_code == 1
    assert "\x1b" not in done.stdout
    read_results(tmp_path / "out")


def test_help_names_the_exit_codes_and_the_degradations(evaluate: Evaluate) -> None:
    text = " ".join(evaluate("--help").stdout.split())
    for part in ("0 every file was scored", "1 some files were not", "2 wrong usage", "3 no server answers"):
        assert part in text
    assert "4 the results cannot be written 130 interrupted" in text
    assert all(degradation.name in text for degradation in STANDARD_SET)


def test_python_m_evaluation_is_quiet_without_a_terminal_and_loads_nothing_heavy_for_help(
    server: InferenceServer, folder: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "evaluation", str(folder), "--url", server.url, "--output", str(tmp_path / "out")]
    done = subprocess.run([*command, "--resamples", "100"], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stderr
    assert json.loads((tmp_path / "out" / "results.json").read_text("utf-8"))
    code = "import evaluation.cli, sys; print(*{m.split('.')[0] for m in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True).stdout
    assert set(loaded.split()) & {"sklearn", "scipy", "matplotlib", "torch", "onnxruntime"} == set()
