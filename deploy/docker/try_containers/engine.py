"""The container engine: Docker with Compose where it runs, else podman with podman-compose."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
PROJECT = "deepfake-try"
_COMMAND_LIMIT_S = 3600.0


class EngineError(Exception):
    """A command of the engine failed; the message ends with what it printed."""


def run(command: Sequence[str], env: Mapping[str, str] | None = None, limit_s: float = _COMMAND_LIMIT_S) -> str:
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


class Engine(ABC):
    """What Docker and podman do alike; the label names are Compose's own."""

    program = "docker"
    build_options: tuple[str, ...] = ()
    run_options: tuple[str, ...] = ()

    def __init__(self, settings: Mapping[str, str]) -> None:
        """Starts nothing.

        Args:
            settings: Variables of the compose file.
        """
        self.settings = dict(settings)

    def build(self, dockerfile: str, image: str, arguments: Mapping[str, str]) -> float:
        """Builds an image; returns the seconds it took."""
        build_args = [word for key, value in arguments.items() for word in ("--build-arg", f"{key}={value}")]
        started = time.monotonic()
        run([self.program, "build", *self.build_options, "--file", dockerfile, "--tag", image, *build_args, "."])
        return time.monotonic() - started

    def image_bytes(self, image: str) -> int | None:
        """Size of an image, None if it is not there."""
        try:
            return int(run([self.program, "image", "inspect", "--format", "{{.Size}}", image]))
        except EngineError:
            return None

    def available(self, image: str) -> bool:
        """Whether an image of others is there or can be pulled."""
        if self.image_bytes(image) is None:
            try:
                run([self.program, "pull", "--quiet", image], limit_s=300)
            except EngineError:
                return False
        return True

    @abstractmethod
    def compose(self, *arguments: str, limit_s: float = _COMMAND_LIMIT_S) -> str:
        """Runs the Compose of this engine on the cpu profile."""

    @abstractmethod
    def start(self, with_grafana: bool) -> None:
        """Exports, then starts every service of the cpu profile; Triton answers when this returns."""

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
                    log = self.logs(self.container("triton"))
                    raise EngineError(f"Triton did not become healthy:\n{log}") from error
            time.sleep(2)

    def recreate(self, service: str) -> None:
        """Starts a service anew, with the settings as they are now."""
        self.compose("up", "--detach", "--no-build", "--no-deps", "--force-recreate", service)

    def down(self) -> None:
        """Removes containers, networks and volumes of the project."""
        self.compose("down", "--volumes")

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

    def exec(self, container: str, *command: str, limit_s: float = 120.0) -> str:
        """Standard output of a command in a container.

        Raises:
            EngineError: It failed.
        """
        return run([self.program, "exec", container, *command], limit_s=limit_s)

    def inspect(self, container: str) -> dict[str, Any]:
        """What the engine knows of a container."""
        (description,) = json.loads(run([self.program, "inspect", container]))
        return dict(description)

    def logs(self, container: str, lines: int = 25) -> str:
        """The end of a container's output, both streams."""
        command = [self.program, "logs", "--tail", str(lines), container]
        done = subprocess.run(command, capture_output=True, text=True, check=False, errors="replace")
        return done.stdout + done.stderr

    def run_detached(self, image: str, port: int) -> str:
        """`docker run` with a published port and nothing else; returns the container's id."""
        publish = f"127.0.0.1:{port}:5000"
        return run([self.program, "run", *self.run_options, "--detach", "--publish", publish, image]).split()[-1]

    def stop(self, container: str) -> None:
        """Ends a container as an operator would: SIGTERM, SIGKILL after half a minute."""
        run([self.program, "stop", "--time", "30", container])

    def remove(self, container: str) -> None:
        """Ends a container for certain."""
        run([self.program, "rm", "--force", "--volumes", container])


class Docker(Engine):
    """Docker with its Compose plugin."""

    def compose(self, *arguments: str, limit_s: float = _COMMAND_LIMIT_S) -> str:
        """Runs `docker compose`."""
        command = ["docker", "compose", "--project-name", PROJECT, "--profile", "cpu", *arguments]
        return run(command, self.settings, limit_s)

    def start(self, with_grafana: bool) -> None:
        """Compose itself keeps the order."""
        without = () if with_grafana else ("--scale", "grafana=0")
        self.compose("up", "--detach", "--no-build", "--wait", *without)


class Podman(Engine):
    """podman 4.3 or newer with podman-compose.

    Without systemd no health check runs by itself, so this runs Triton's. With depends_on, podman-compose makes
    containers that podman refuses to restart when the finished export is not running, so this orders the services.
    """

    program = "podman"
    build_options = ("--isolation=chroot", "--format=docker", *shlex.split(os.environ.get("PODMAN_BUILD_ARGS", "")))
    run_options = tuple(shlex.split(os.environ.get("PODMAN_RUN_ARGS", "")))

    def compose(self, *arguments: str, limit_s: float = _COMMAND_LIMIT_S) -> str:
        """Runs `podman-compose`; Docker, unlike podman, gives a read-only container no writable /run and /var/tmp."""
        options = shlex.join(("--read-only-tmpfs=false", *self.run_options))
        command = [podman_compose(), "--project-name", PROJECT, "--profile", "cpu", f"--podman-run-args={options}"]
        return run([*command, *arguments], self.settings, limit_s)

    def start(self, with_grafana: bool) -> None:
        """One service after another."""
        self.compose("run", "--rm", "-T", "--no-deps", "export")
        self.compose("up", "--detach", "--no-build", "--no-deps", "triton")
        self.await_triton()
        for service in ("gateway", "prometheus", *(("grafana",) if with_grafana else ())):
            self.compose("up", "--detach", "--no-build", "--no-deps", service)


def podman_compose() -> str:
    """The podman-compose to use: $PODMAN_COMPOSE, that of PATH, or one beside this Python."""
    beside = Path(sys.executable).with_name("podman-compose")
    return os.environ.get("PODMAN_COMPOSE") or shutil.which("podman-compose") or str(beside)


def find_engine(name: str, settings: Mapping[str, str]) -> Engine:
    """The engine of that name, or for `auto` the first that works.

    Raises:
        EngineError: It does not.
    """
    probes: dict[str, tuple[type[Engine], list[list[str]]]] = {
        "docker": (Docker, [["docker", "info"], ["docker", "compose", "version"]]),
        "podman": (Podman, [["podman", "info"], [podman_compose(), "--version"]]),
    }
    reasons = []
    for candidate, (kind, commands) in probes.items():
        if name not in ("auto", candidate):
            continue
        try:
            for command in commands:
                run(command, limit_s=60)
        except (EngineError, OSError) as error:
            reasons.append(f"{candidate}: {str(error).splitlines()[-1]}")
        else:
            return kind(settings)
    raise EngineError("no container engine works here: " + "; ".join(reasons))
