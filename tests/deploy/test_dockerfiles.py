"""What every image promises, checked without a container engine."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.deploy.test_compose import SERVICES

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "docker"
DOCKERFILES = {
    "single": ROOT / "Dockerfile",
    "export": FOLDER / "export.Dockerfile",
    "triton": FOLDER / "triton.Dockerfile",
    "triton-gpu": FOLDER / "triton-gpu.Dockerfile",
    "gateway": FOLDER / "gateway.Dockerfile",
}
SLIM = "python:3.11-slim-bookworm"
NVIDIA = "nvcr.io/nvidia/tritonserver:26.11-py3"
LOCKS = {
    "single": ["export.lock", "serve.lock"],
    "export": ["export.lock"],
    "triton": ["triton-cpu.lock"],
    "triton-gpu": ["triton-gpu.lock"],
    "gateway": ["gateway.lock"],
}
SHIPPED_LOCK = {name: locks[-1] for name, locks in LOCKS.items()}
PROGRAMS = {
    "single": "deploy.single_container",
    "export": "export",
    "triton": "deploy.triton_container",
    "triton-gpu": "deploy.triton_container",
    "gateway": "gateway",
}
MODULES = {**PROGRAMS, "export": "export.cli", "gateway": "gateway.app"}
TRAINING = {"torch", "transformers", "optimum", "nncf"}
RUNTIMES = {"mediapipe", "onnx", "onnxruntime", "opencv-contrib-python", "nvidia-pytriton", "openvino"}

every_image = pytest.mark.parametrize("name", DOCKERFILES)


def text_of(name: str) -> str:
    """Each instruction on a line, and the lock of an export without a GPU."""
    return re.sub(r"\\\n\s*", "", DOCKERFILES[name].read_text("utf-8")).replace("${LOCK}", "export.lock")


def shipped_stage(name: str) -> str:
    return re.split(r"^FROM ", text_of(name), flags=re.MULTILINE)[-1]


def locked(lock: str) -> set[str]:
    lines = (ROOT / "requirements" / lock).read_text("utf-8").splitlines()
    return {line.partition("==")[0].lower() for line in lines if "==" in line}


def copies(text: str) -> list[str]:
    """Sources that are copied from the build context."""
    sources = re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE)
    return [source for line in sources for source in line.split()]


def test_every_dockerfile_is_known_here() -> None:
    assert {*FOLDER.glob("*Dockerfile*"), ROOT / "Dockerfile"} == set(DOCKERFILES.values())


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    command = [hadolint, "--config", ROOT / ".hadolint.yaml", "--no-color"]
    done = subprocess.run([*command, *DOCKERFILES.values()], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    bad = subprocess.run([*command, "-"], input="FROM debian\n", capture_output=True, text=True, check=False)
    assert bad.returncode != 0
    assert "DL3006" in bad.stdout


@every_image
def test_base_images_are_pinned(name: str) -> None:
    stages = set(re.findall(r" AS (\S+)$", text_of(name), re.MULTILINE))
    bases = set(re.findall(r"^FROM (\S+)", text_of(name), re.MULTILINE)) - stages
    before = text_of(name).split("\nFROM ")[0]
    given = {f"${{{argument}}}": image for argument, image in re.findall(r"^ARG (\w+)=(\S+)$", before, re.MULTILINE)}
    bases = {given[base] for base in bases}  # a digest can be given
    assert bases == {NVIDIA if name == "triton-gpu" else SLIM}


@every_image
def test_the_image_that_ships_is_not_root_and_installs_no_packages_of_python(name: str) -> None:
    shipped = shipped_stage(name)
    assert re.findall(r"^USER (\S+)", shipped, re.MULTILINE)[-1] == "10001:10001"
    after_user = shipped.split("USER 10001:10001")[1]
    assert "RUN" not in after_user
    assert not re.search(r"\bpip\b", shipped)
    assert "COPY --from=" in shipped


@every_image
def test_an_image_installs_its_own_lock_and_nothing_else(name: str) -> None:
    text = text_of(name)
    assert re.findall(r"^COPY requirements/(\S+) ", text, re.MULTILINE) == LOCKS[name]
    installs = re.findall(r"pip --python \S+ install --no-cache-dir (.*)", text)
    assert sorted(installs) == sorted([*(f"--requirement {lock}" for lock in LOCKS[name]), "--no-deps ./client ."])


def test_images_hold_no_more_than_they_need() -> None:
    assert locked(SHIPPED_LOCK["gateway"]) & (TRAINING | RUNTIMES) == set()
    for name in ("triton", "triton-gpu", "single"):
        assert locked(SHIPPED_LOCK[name]) & TRAINING == set(), name
    # NVIDIA's image brings its own server and runtime.
    assert locked(SHIPPED_LOCK["triton-gpu"]) & {"nvidia-pytriton", "onnxruntime"} == set()
    assert {"openvino", "opencv-contrib-python", "tritonclient"} <= locked(SHIPPED_LOCK["triton-gpu"])
    ours = [source for source in copies(text_of("gateway")) if "." not in source]
    assert ours == ["client", "gateway"]


def test_the_export_for_gpus_is_the_same_but_for_its_onnxruntime() -> None:
    assert "ARG LOCK=export.lock\n" in text_of("export")
    cpu, gpu = locked("export.lock"), locked("export-gpu.lock")
    assert cpu - gpu == {"onnxruntime"}
    libraries = {"nvidia-cublas", "nvidia-cuda-runtime", "nvidia-cudnn-cu13", "nvidia-cufft", "nvidia-curand"}
    assert gpu - cpu >= {"onnxruntime-gpu", *libraries}
    assert all(added.startswith(("nvidia-", "onnxruntime-gpu")) for added in gpu - cpu)


@pytest.mark.parametrize("lock", ["serve.lock", "triton-gpu.lock"])
def test_locks_agree_with_the_one_that_tests_run_with(lock: str) -> None:
    tested = (ROOT / "requirements" / "dev.lock").read_text("utf-8").splitlines()
    lines = (ROOT / "requirements" / lock).read_text("utf-8").splitlines()
    assert {line for line in lines if "==" in line} <= set(tested)
    assert f"requirements/{lock} " in (ROOT / "requirements" / "lock.sh").read_text("utf-8")


@every_image
def test_dockerfiles_copy_only_what_the_context_holds(name: str) -> None:
    rules = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    allowed = [line[1:].rstrip("/") for line in rules if line.startswith("!")]
    for source in copies(text_of(name)):
        if source != "checkpoint[s]":  # a folder that need not be there
            assert (ROOT / source).exists(), source
            assert any(Path(source).match(rule) or Path(source).is_relative_to(rule) for rule in allowed), source


@every_image
def test_absent_packages_are_stood_in_for(name: str, tmp_path: Path) -> None:
    """The line in front of `pip install .` makes a folder for every package that the project lists."""
    commands = re.findall(r'RUN python3? -c "(import os, tomllib.*?)" ', text_of(name))
    assert len(commands) == 1
    ast.parse(commands[0])
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    subprocess.run([sys.executable, "-c", commands[0]], cwd=tmp_path, check=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    packages = project["tool"]["setuptools"]["packages"]
    assert any("." in package for package in packages)
    for package in packages:
        assert (tmp_path / package.replace(".", "/")).is_dir(), package


@every_image
def test_it_runs_its_program(name: str) -> None:
    assert f'CMD ["python", "-m", "{PROGRAMS[name]}"]' in shipped_stage(name).splitlines()


@every_image
def test_an_image_holds_every_module_of_ours_that_its_program_imports(name: str) -> None:
    code = f"import sys, {MODULES[name]}; print(*[getattr(m, '__file__', None) for m in sys.modules.values()])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    ours = [Path(f).relative_to(ROOT) for f in done.stdout.split() if f.startswith(str(ROOT)) and ".venv" not in f]
    program_stage = text_of(name).split(" AS program")[-1]
    copied = [Path(source) for source in copies(program_stage)]
    missing = [str(f) for f in ours if not any(f == source or source in f.parents for source in copied)]
    assert ours
    assert missing == []


def test_the_single_container_is_healthy_while_inferences_succeed() -> None:
    shipped = shipped_stage("single")
    (check,) = re.findall(r"^HEALTHCHECK (.*) CMD (.*)$", shipped, re.MULTILINE)
    assert json.loads(check[1]) == SERVICES["gateway"]["healthcheck"]["test"][1:]
    assert "--start-period=" in check[0]
    settings = dict(re.findall(r"\b([A-Z_]+)=(\S+)", shipped.partition("USER ")[0]))
    assert (settings["DEEPFAKE_HOST"], settings["PORT"], settings["MEDIA_ROOT"]) == ("0.0.0.0", "5000", "/media")
    assert re.findall(r"^(?:EXPOSE|VOLUME) (\S+)", shipped, re.MULTILINE) == ["/media", "5000"]


def test_the_model_of_the_single_container_is_the_build_s_choice() -> None:
    model = text_of("single").split(" AS model")[1].split("FROM ")[0]
    assert {"CHECKPOINT", "PRECISION", "INSTANCES"} <= set(re.findall(r"^ARG (\w+)", model, re.MULTILINE))
    assert "python -m deploy.bake" in model
    # An image that was meant to hold the default model never holds the demonstration one in silence.
    assert "ARG EMBEDDED_FALLBACK=false\n" in model
    assert 'DEEPFAKE_EMBEDDED_FALLBACK="$EMBEDDED_FALLBACK"' in model
    # The token is mounted for the command, and in no layer.
    assert "--mount=type=secret,id=hf_token" in model
