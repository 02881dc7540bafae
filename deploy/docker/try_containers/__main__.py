"""`make test-containers`: builds the images and tries them for real, with Docker or, as root, with podman.

Builds the images of the cpu profile and the single container, brings the profile up, makes the contract's requests,
looks into every container, kills each, and runs the single container. Exit code 1 if anything fails.

podman needs runc or crun, podman-compose (PyPI) and, where there is no image registry, podman_images.sh. Environment:
PODMAN_BUILD_ARGS and PODMAN_RUN_ARGS, more arguments for `podman build` and `podman run`; PODMAN_COMPOSE, the program.
PIP_INDEX_URL and PIP_EXTRA_INDEX_URL are handed to the builds.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

import yaml  # type: ignore[import-untyped]

from deploy.docker.try_containers.cpu_profile import prepare, try_profile
from deploy.docker.try_containers.encrypted import try_encrypted
from deploy.docker.try_containers.engine import ROOT, Engine, EngineError, find_engine
from deploy.docker.try_containers.report import Report
from deploy.docker.try_containers.single import try_single
from deploy.embedded import embedded_checkpoint

SINGLE = "deepfake"
PARTS = ("profile", "single")


def main() -> None:
    """Exit codes: 0 everything passed, 1 something failed, 2 usage."""
    parser = argparse.ArgumentParser(prog="try_containers", description=__doc__)
    parser.add_argument("--engine", choices=("auto", "docker", "podman"), default="auto")
    parser.add_argument("--checkpoint", type=Path, help="served instead of the embedded one")
    parser.add_argument("--only", choices=PARTS, help="one part only")
    parser.add_argument("--no-build", action="store_true", help="take the images that are there")
    parser.add_argument("--keep", action="store_true", help="leave the profile running")
    arguments = parser.parse_args()
    report = Report()
    parts = (arguments.only,) if arguments.only else PARTS
    with tempfile.TemporaryDirectory(prefix="try-containers-") as folder:
        checkpoint = arguments.checkpoint or embedded_checkpoint()
        settings = prepare(Path(folder), checkpoint.resolve())
        try:
            engine = find_engine(arguments.engine, settings)
            if not arguments.no_build:
                build_images(engine, report, parts)
            if "profile" in parts:
                run_profile(engine, report, arguments.keep)
            if "single" in parts:
                try_single(engine, report, SINGLE, Path(settings["MEDIA_DIR"]) / "astronaut.png")
            show_sizes(engine, report, parts)
        except EngineError as error:
            print(error, file=sys.stderr)
            report.failures.append("the engine")
    report.print_summary()
    sys.exit(1 if report.failures else 0)


def images(parts: tuple[str, ...]) -> dict[str, str]:
    """Image by Dockerfile, of those parts."""
    found: dict[str, str] = {}
    if "profile" in parts:
        services = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]
        ours = [s for s in services.values() if "cpu" in s["profiles"] and "build" in s]
        found |= {str(s["build"]["dockerfile"]): str(s["image"]) for s in ours}
    if "single" in parts:
        found["Dockerfile"] = SINGLE
    return found


def build_images(engine: Engine, report: Report, parts: tuple[str, ...]) -> None:
    """Builds them one after another.

    Raises:
        EngineError: One cannot be built.
    """
    arguments = {k: os.environ[k] for k in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL") if k in os.environ}
    for dockerfile, image in images(parts).items():
        print(f"      building {image} ...", flush=True)
        report.figure(
            f"build of {image}, layers in the cache reused", f"{engine.build(dockerfile, image, arguments):.0f} s"
        )


def run_profile(engine: Engine, report: Report, keep: bool) -> None:
    """Tries the cpu profile and takes it down again.

    Raises:
        EngineError: It does not come up.
    """
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]
    with_grafana = engine.available(services["grafana"]["image"])
    if not with_grafana:
        report.skip("Grafana", f"the image {services['grafana']['image']} is not here and cannot be pulled")
    if not engine.available(services["prometheus"]["image"]):
        raise EngineError(
            f"{services['prometheus']['image']} cannot be pulled; with podman: podman_images.sh prometheus"
        )
    engine.down()
    try:
        try_profile(engine, report, with_grafana)
        try_encrypted(engine, report)
        if report.failures:
            for service in ("triton", "gateway", "prometheus"):
                print(f"--- {service}\n{engine.logs(engine.container(service))}", flush=True)
    finally:
        if not keep:
            engine.down()


def show_sizes(engine: Engine, report: Report, parts: tuple[str, ...]) -> None:
    """Notes the size of each image."""
    for image in images(parts).values():
        size = engine.image_bytes(image)
        report.figure(f"size of {image}", "not there" if size is None else f"{size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
