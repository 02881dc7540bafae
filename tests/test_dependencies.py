import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = {
    "assets", "benchmark", "bulk", "deepfake_client", "deploy", "evaluation", "export", "gateway", "model_repository",
    "preprocessing", "reliability", "runtime", "training",
}  # fmt: skip

# What each package may import of ours.
ALLOWED: dict[str, set[str]] = {
    "assets": {"assets"},
    "preprocessing": {"preprocessing"},
    "deepfake_client": {"deepfake_client"},
    "bulk": {"bulk", "deepfake_client"},
    "gateway": {"gateway", "deepfake_client"},
    "runtime": {"runtime"},
    "export": {"export", "deepfake_client", "preprocessing", "runtime", "assets"},
    "model_repository": {"preprocessing", "runtime"},
    "benchmark": {"benchmark", "assets", "deepfake_client", "export", "preprocessing", "runtime"},
    "evaluation": {"evaluation", "deepfake_client"},
    "reliability": {
        "reliability",
        "assets",
        "benchmark",
        "deepfake_client",
        "deploy",
        "export",
        "preprocessing",
        "runtime",
    },
    "training": {"training", "assets", "deepfake_client", "evaluation", "export", "preprocessing"},
    "deploy": {"deploy", "assets", "deepfake_client", "export", "preprocessing", "runtime"},
}
EXCEPTIONS = {"client/deepfake_client/in_process.py": {"preprocessing", "runtime", "assets"}}


def imported_packages(path: Path) -> set[str]:
    """Top-level packages that a file imports anywhere, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found.add((node.module or "").split(".")[0])
    return found


def files_of(package: str) -> list[Path]:
    folder = ROOT / "client" / package if package == "deepfake_client" else ROOT / package
    return sorted(folder.rglob("*.py"))


@pytest.mark.parametrize("package", ALLOWED)
def test_packages_import_only_what_stands_below_them(package: str) -> None:
    for path in files_of(package):
        name = path.relative_to(ROOT).as_posix()
        allowed = ALLOWED[package] | EXCEPTIONS.get(name, set())
        assert imported_packages(path) & OURS <= allowed, name


@pytest.mark.parametrize("package", ["bulk", "gateway", "deploy", "evaluation"])
def test_nothing_imports_the_outermost_packages_but_themselves(package: str) -> None:
    importers = {
        path.relative_to(ROOT).parts[0]
        for other in sorted(OURS)
        for path in files_of(other)
        if package in imported_packages(path)
    }
    tools = {"reliability", "training"} if package == "evaluation" else {"reliability"}
    assert importers <= {package} | tools


def test_vendor_types_stay_behind_one_module() -> None:
    def users(package: str) -> set[str]:
        return {path.name for path in files_of("deepfake_client") if package in imported_packages(path)}

    assert users("tritonclient") == {"endpoint.py"}
    assert users("av") == {"sample.py", "source.py"}
    assert users("typer") == {"cli.py"}
    assert users("ray") | users("pyarrow") == set()
    assert [path.name for path in files_of("bulk") if "ray" in imported_packages(path)] == ["cluster.py"]


def test_importing_the_client_loads_no_heavy_package() -> None:
    """The base install holds neither these nor the packages that need them."""
    import subprocess
    import sys

    code = "import deepfake_client, deepfake_client.batch.cli, sys; print(*{m.split('.')[0] for m in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    heavy = {
        "torch", "transformers", "mediapipe", "cv2", "onnx", "onnxruntime", "openvino", "flask", "gateway",
        "preprocessing", "ray", "pyarrow", "runtime",
    }  # fmt: skip
    assert set(loaded.split()) & heavy == set()


def test_no_module_is_named_utils_or_helpers() -> None:
    names = [path.stem for package in OURS for path in files_of(package)]
    assert [name for name in names if re.fullmatch(r"utils?|helpers?|common|misc", name)] == []
