"""What a running container may do: asked of the engine, and tried inside."""

from deploy.docker.try_containers.engine import Engine, EngineError
from deploy.docker.try_containers.report import require

NO_CAPABILITIES = "0000000000000000"


def check_hardening(engine: Engine, service: str, writable: str) -> None:
    """User, capabilities, privileges, file systems and limits of one service.

    Args:
        engine: The engine.
        service: Its name in the compose file.
        writable: A folder in which the container may write.
    """
    container = engine.container(service)
    status = dict(
        line.split(":", 1) for line in engine.exec(container, "cat", "/proc/self/status").splitlines() if ":" in line
    )
    require(status["Uid"].split()[0] != "0", "it runs as root")
    # Those of process 1, the init, and of a command that is started beside it.
    first = engine.exec(container, "cat", "/proc/1/status")
    for line in first.splitlines():
        name, _, value = line.partition(":")
        if name in ("CapEff", "CapPrm", "CapBnd"):
            require(value.strip() == NO_CAPABILITIES, f"{name} of process 1 is {value.strip()}")
        if name in ("NoNewPrivs", "Seccomp"):
            require(value.strip() != "0", f"{name} of process 1 is 0")
    for folder in ("/", "/usr", "/etc", "/run", "/var/tmp"):
        require(not _can_write(engine, container, folder), f"{folder} can be written")
    require(_can_write(engine, container, writable), f"{writable} cannot be written")
    host = engine.inspect(container)["HostConfig"]
    require(host["ReadonlyRootfs"] is True, "the root file system is not read-only")
    require(host["Memory"] > 0, "no limit on memory")
    require((host.get("PidsLimit") or 0) > 0, "no limit on processes")
    require((host.get("NanoCpus") or host.get("CpuQuota") or 0) > 0, "no limit on CPU time")
    require(host["RestartPolicy"]["Name"] == "unless-stopped", f"restart policy {host['RestartPolicy']}")


def check_mounts_are_read_only(engine: Engine, service: str, folders: tuple[str, ...]) -> None:
    """Folders of volumes that the service must not write."""
    container = engine.container(service)
    for folder in folders:
        engine.exec(container, "ls", folder)
        require(not _can_write(engine, container, folder), f"{service} can write {folder}")


def check_no_way_out(engine: Engine, service: str) -> None:
    """A service of internal networks has no default route."""
    routes = engine.exec(engine.container(service), "cat", "/proc/net/route").splitlines()[1:]
    require(len(routes) > 0, "no network at all")
    require(all(line.split()[1] != "00000000" for line in routes), "there is a default route")


def _can_write(engine: Engine, container: str, folder: str) -> bool:
    probe = f"{folder.rstrip('/')}/.probe"
    try:
        engine.exec(container, "sh", "-c", f"touch {probe} && rm {probe}")
    except EngineError:
        return False
    return True
