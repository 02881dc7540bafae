"""The container engine: Docker with Compose where it runs, else podman with podman-compose.

Environment: CONTAINER_ENGINE (docker, podman, auto); PODMAN_COMPOSE, the program; more arguments in PODMAN_BUILD_ARGS
and PODMAN_RUN_ARGS. PIP_INDEX_URL and PIP_EXTRA_INDEX_URL are handed to the builds.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.service import ROOT

PROJECT = "deepfake-try"
_BUILD_S = 3600.0


class EngineError(Exception):
    """A command of the engine failed; the message ends with what it printed."""


def run(command: Sequence[str], env: Mapping[str, str] | None = None, limit_s: float = _BUILD_S) -> str:
    """Standard output of a command.

    Raises:
        EngineError: It failed, or took too long.
    """
    try:
        done = subprocess.run(
            command, cwd=ROOT, env={**os.environ, **(env or {})}, capture_output=True, text=True, check=False,
            timeout=limit_s, errors="replace",
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise EngineError(f"{shlex.join(command)} took more than {limit_s:g} s") from error
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise EngineError(f"{shlex.join(command)} ended with code {done.returncode}:\n{tail}")
    return done.stdout


class Engine:
    """Docker with its Compose plugin; podman does most things alike. The label names are Compose's own."""

    program = "docker"
    build_options: tuple[str, ...] = ()
    run_options: tuple[str, ...] = ()
    compose_command: tuple[str, ...] = ("docker", "compose")

    def __init__(self) -> None:
        """Starts nothing.

        Attributes:
            settings: Variables of the compose file.
        """
        self.settings: dict[str, str] = {}

    def build(self, dockerfile: str, image: str) -> None:
        """Builds an image."""
        names = [name for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL") if name in os.environ]
        given = [f"{name}={os.environ[name]}" for name in names]
        if dockerfile == "Dockerfile":
            given.append("EMBEDDED_FALLBACK=true")  # no hub can be reached here
        arguments = [word for argument in given for word in ("--build-arg", argument)]
        run([self.program, "build", *self.build_options, "--file", dockerfile, "--tag", image, *arguments, "."])

    def available(self, image: str) -> bool:
        """Whether an image of others is there or can be pulled."""
        for command in (["image", "inspect", image], ["pull", "--quiet", image]):
            try:
                run([self.program, *command], limit_s=300)
            except EngineError:
                continue
            return True
        return False

    def compose(self, *arguments: str) -> str:
        """Runs Compose on the services."""
        return run([*self.compose_command, "--project-name", PROJECT, *arguments], self.settings)

    def start(self, without: Sequence[str]) -> None:
        """Exports, then starts every service but some."""
        self.compose("up", "--detach", "--no-build", "--wait", *(f"--scale={name}=0" for name in without))

    def await_triton(self, limit_s: float = 600.0) -> None:
        """Runs Triton's health check until it succeeds.

        Raises:
            EngineError: It never does; with the end of its log.
        """
        deadline = time.monotonic() + limit_s
        while True:
            try:
                self.exec(self.container("triton"), "python", "-m", "deploy.triton_container", "check")
                return
            except EngineError as error:
                if time.monotonic() > deadline:
                    raise EngineError(f"Triton did not become healthy:\n{self.logs('triton')}") from error
            time.sleep(2)

    def recreate(self, service: str) -> None:
        """Starts a service anew, with the settings as they are now."""
        self.compose("up", "--detach", "--no-build", "--no-deps", "--force-recreate", service)

    def container(self, service: str) -> str:
        """Id of a service's container.

        Raises:
            EngineError: There is none.
        """
        labels = {"project": PROJECT, "service": service}
        filters = [word for k, v in labels.items() for word in ("--filter", f"label=com.docker.compose.{k}={v}")]
        found = run([self.program, "ps", "--all", "--quiet", *filters]).split()
        if len(found) != 1:
            raise EngineError(f"{service} has {len(found)} containers")
        return found[0]

    def exec(self, container: str, *command: str) -> str:
        """Standard output of a command in a container.

        Raises:
            EngineError: It failed.
        """
        return run([self.program, "exec", container, *command], limit_s=120)

    def inspect(self, container: str) -> dict[str, Any]:
        """What the engine knows of a container."""
        (description,) = json.loads(run([self.program, "inspect", container]))
        return dict(description)

    def logs(self, service: str, lines: int = 25) -> str:
        """The end of a service's output, both streams."""
        command = [self.program, "logs", "--tail", str(lines), self.container(service)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, errors="replace")
        return done.stdout + done.stderr

    def run_detached(self, image: str, port: int) -> str:
        """`docker run` with a published port and nothing else; returns the container's id."""
        publish = f"127.0.0.1:{port}:5000"
        return run([self.program, "run", *self.run_options, "--detach", "--publish", publish, image]).split()[-1]


class Podman(Engine):
    """podman 4.3 or newer with podman-compose.

    Without systemd no health check runs by itself, so this runs Triton's. With depends_on, podman-compose makes
    containers that podman refuses to restart when the finished export is not running, so this orders the services.
    """

    program = "podman"
    build_options = ("--isolation=chroot", "--format=docker", *shlex.split(os.environ.get("PODMAN_BUILD_ARGS", "")))
    run_options = tuple(shlex.split(os.environ.get("PODMAN_RUN_ARGS", "")))
    # Docker, unlike podman, gives a read-only container no writable /run and /var/tmp.
    compose_command = (
        os.environ.get("PODMAN_COMPOSE")
        or shutil.which("podman-compose")
        or str(Path(sys.executable).with_name("podman-compose")),
        f"--podman-run-args={shlex.join(('--read-only-tmpfs=false', *run_options))}",
    )

    def start(self, without: Sequence[str]) -> None:
        """One service after another."""
        self.compose("run", "--rm", "-T", "--no-deps", "export")
        for service in ("triton", "gateway", "nginx", "prometheus", "grafana"):
            if service not in without:
                self.compose("up", "--detach", "--no-build", "--no-deps", service)
            if service == "triton":
                self.await_triton()


def find_engine(name: str) -> Engine:
    """The engine of that name, or for `auto` the first that works.

    Raises:
        EngineError: It does not.
    """
    reasons = []
    for candidate in (Engine(), Podman()):
        if name in ("auto", candidate.program):
            try:
                run([candidate.program, "info"], limit_s=60)
                run([*candidate.compose_command[:2], "version"], limit_s=60)
            except (EngineError, OSError) as error:
                reasons.append(f"{candidate.program}: {str(error).splitlines()[-1]}")
            else:
                return candidate
    raise EngineError("no container engine works here: " + "; ".join(reasons))
