import ast
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = {
    "assets", "benchmark", "bulk", "deepfake_client", "deploy", "evaluation", "export", "gateway", "model_repository",
    "preprocessing", "runtime", "training",
}  # fmt: skip

# What each package may import of ours.
ALLOWED: dict[str, set[str]] = {
    "assets": {"assets"},
    "preprocessing": {"preprocessing", "runtime"},
    "deepfake_client": {"deepfake_client"},
    "bulk": {"bulk", "deepfake_client"},
    "gateway": {"gateway", "deepfake_client"},
    "runtime": {"runtime"},
    "export": {"export", "deepfake_client", "preprocessing", "runtime", "assets"},
    "model_repository": {"preprocessing", "runtime"},
    "benchmark": {"benchmark", "assets", "deepfake_client", "export", "preprocessing", "runtime"},
    "evaluation": {"evaluation", "assets", "deepfake_client"},
    "training": {"training", "assets", "deepfake_client", "evaluation", "export", "preprocessing", "runtime"},
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
    assert importers <= {package} | ({"training"} if package == "evaluation" else set())


def test_vendor_types_stay_behind_one_module_or_folder() -> None:
    def users(package: str, folder: str = "") -> set[str]:
        files = [path for path in files_of("deepfake_client") if path.parent.name != folder]
        return {path.name for path in files if package in imported_packages(path)}

    assert users("tritonclient") == {"endpoint.py"}
    assert users("av", "video") == set()
    assert users("typer", "command_line") == {"cli.py"}
    assert users("c2pa") == {"credentials_process.py"}
    assert users("ray") | users("pyarrow") == set()
    assert [path.name for path in files_of("bulk") if "ray" in imported_packages(path)] == ["cluster.py"]


def test_importing_the_client_loads_no_heavy_package() -> None:
    """The base install holds neither these nor the packages that need them."""
    import subprocess
    import sys

    code = "import deepfake_client, deepfake_client.batch.cli, sys; print(*{m.split('.')[0] for m in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    heavy = {
        "c2pa", "torch", "transformers", "mediapipe", "cv2", "onnx", "onnxruntime", "openvino", "flask", "gateway",
        "preprocessing", "ray", "pyarrow", "runtime",
    }  # fmt: skip
    assert set(loaded.split()) & heavy == set()


def test_no_module_is_named_utils_or_helpers() -> None:
    names = [path.stem for package in OURS for path in files_of(package)]
    assert [name for name in names if re.fullmatch(r"utils?|helpers?|common|misc", name)] == []


def modules() -> dict[str, Path]:
    """Every module of ours by its dotted name; a package's `__init__` has the package's."""
    found = {}
    for package in OURS - {"model_repository"}:  # not a package: Triton loads its files by path
        for path in files_of(package):
            parts = path.relative_to(ROOT / "client" if package == "deepfake_client" else ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported_modules(path: Path, known: Iterable[str]) -> set[str]:
    """Modules of ours that a file imports anywhere, also inside functions and for types alone."""
    named: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            full = {f"{node.module}.{alias.name}" for alias in node.names}
            named |= full & set(known) or {str(node.module)}
    return named & set(known)


def room_of(module: str, known: Mapping[str, Path]) -> str | None:
    """The sub-package that a module is of, as in `export.gate`; None for what lies directly in its package."""
    name = ".".join(module.split(".")[:2])
    return name if name in known and known[name].name == "__init__.py" and "." in name else None


def test_no_modules_import_each_other_in_a_circle() -> None:
    """An import inside a function counts as well: it runs later, and the two modules still need each other."""
    known = modules()
    TopologicalSorter({name: imported_modules(path, known) - {name} for name, path in known.items()}).prepare()


def test_sub_packages_of_a_package_stand_above_each_other() -> None:
    """None imports one that imports it. What lies directly in the package is for all of them, or built on all."""
    known = modules()
    rooms: dict[str, set[str]] = {}
    for name, path in known.items():
        room = room_of(name, known)
        if room:
            others = {room_of(imported, known) for imported in imported_modules(path, known)}
            same_package = {other for other in others if other and other.split(".")[0] == room.split(".")[0]}
            rooms.setdefault(room, set()).update(same_package - {room})
    TopologicalSorter(rooms).prepare()


def test_a_folder_holds_at_most_fifteen_modules() -> None:
    counts = Counter(path.parent for path in modules().values() if path.stem not in ("__init__", "__main__"))
    assert {folder.relative_to(ROOT).as_posix(): count for folder, count in counts.items() if count > 15} == {}


def test_every_package_is_part_of_the_distribution() -> None:
    """The build takes the packages that pyproject.toml lists, and no others."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    ours = {name for name, path in modules().items() if path.name == "__init__.py"}
    assert {name for name in ours if not name.startswith("deepfake_client")} == set(listed)
