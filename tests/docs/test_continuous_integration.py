"""The GitHub workflow and the pre-commit file: about the commands that `make` has."""

import yaml

from tests.service import ROOT

WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"


def test_the_workflow_runs_lint_types_suite_and_image_build() -> None:
    jobs = yaml.safe_load(WORKFLOW.read_text("utf-8"))["jobs"]
    commands = [step.get("run", "") for job in jobs.values() for step in job["steps"]]
    assert ".ci/run" in commands
    assert "make test" in (ROOT / ".ci" / "run").read_text("utf-8")
    assert "docker compose build" in commands


def test_the_hooks_are_those_of_make_lint() -> None:
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    assert [hook["id"] for hook in local["hooks"]] == ["ruff", "ruff-format", "mypy"]
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for hook in local["hooks"]:
        assert " ".join(hook["entry"].split()[:2]).removesuffix(" check").split(" --")[0] in makefile
