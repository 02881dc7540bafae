"""What the real Triton refuses whoever reaches it: everything but inferences and questions about the served models."""

from collections.abc import Callable
from typing import Any

import pytest
import requests
import tritonclient.grpc
from tritonclient.utils import InferenceServerException

from tests.integration.conftest import Infer, as_tensor
from tests.service import Service

Client = tritonclient.grpc.InferenceServerClient
GUESSES: list[dict[str, str] | None] = [
    None,
    {"triton-grpc-protocol-secret": ""},
    {"triton-grpc-protocol-nobody": "0" * 32},
]

ADMINISTRATION: dict[str, Callable[[Any, Any], Any]] = {
    "load": lambda c, h: c.load_model("classifier", headers=h),
    "load a config": lambda c, h: c.load_model("classifier", headers=h, config="{}"),
    "unload": lambda c, h: c.unload_model("deepfake_detector", headers=h),
    "list the repository": lambda c, h: c.get_model_repository_index(headers=h),
    "register system shared memory": lambda c, h: c.register_system_shared_memory("x", "/x", 64, headers=h),
    "list system shared memory": lambda c, h: c.get_system_shared_memory_status(headers=h),
    "unregister system shared memory": lambda c, h: c.unregister_system_shared_memory(headers=h),
    "register CUDA shared memory": lambda c, h: c.register_cuda_shared_memory("x", b"0" * 64, 0, 64, headers=h),
    "list CUDA shared memory": lambda c, h: c.get_cuda_shared_memory_status(headers=h),
    "set traces": lambda c, h: c.update_trace_settings(settings={"trace_file": "/tmp/x"}, headers=h),
    "read traces": lambda c, h: c.get_trace_settings(headers=h),
    "set the log": lambda c, h: c.update_log_settings({"log_file": "/tmp/x"}, headers=h),
    "read the log": lambda c, h: c.get_log_settings(headers=h),
}


@pytest.mark.parametrize("action", ADMINISTRATION)
def test_administration_over_grpc_is_refused(service: Service, action: str) -> None:
    with Client(service.grpc) as client:
        for headers in GUESSES:
            with pytest.raises(InferenceServerException, match="restricted") as caught:
                ADMINISTRATION[action](client, headers)
            assert "StatusCode.UNAVAILABLE" in str(caught.value.status())


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "repository/index"),
        ("POST", "repository/models/classifier/load"),
        ("POST", "repository/models/deepfake_detector/unload"),
        ("GET", "systemsharedmemory/status"),
        ("POST", "systemsharedmemory/region/x/register"),
        ("POST", "systemsharedmemory/unregister"),
        ("GET", "cudasharedmemory/status"),
        ("POST", "cudasharedmemory/region/x/register"),
        ("GET", "trace/setting"),
        ("POST", "trace/setting"),
        ("POST", "models/classifier/trace/setting"),
        ("GET", "logging"),
        ("POST", "logging"),
    ],
)
def test_administration_over_http_is_refused(service: Service, method: str, path: str) -> None:
    url = f"http://127.0.0.1:{service.triton_http_port}/v2/{path}"
    for headers in ({}, {"secret": ""}, {"secret": "0" * 32}):
        answer = requests.request(method, url, json={}, headers=headers, timeout=10)
        assert answer.status_code == 403, answer.text


def test_what_the_command_line_tells_every_user_opens_nothing(service: Service) -> None:
    option = next(
        part for part in _command_line(service.triton_pid()) if part.startswith("--grpc-restricted-protocol=")
    )
    name, _, value = option.rpartition(":")[2].partition("=")
    with Client(service.grpc) as client:
        for header in (name, name.lower()):
            for secret in (value, value.strip()):
                with pytest.raises((InferenceServerException, ValueError)):
                    client.get_log_settings(headers={f"triton-grpc-protocol-{header}": secret})
    url = f"http://127.0.0.1:{service.triton_http_port}/v2/logging"
    assert requests.get(url, headers={name: value.strip()}, timeout=10).status_code == 403


def test_inferences_and_questions_are_answered(service: Service, infer: Infer, images: dict[str, bytes]) -> None:
    answer = infer([images["astronaut.png"]])
    assert 0 <= float(answer["FAKE_PROBABILITY"][0, 0]) <= 1
    with Client(service.grpc) as client:
        assert client.is_model_ready("deepfake_detector")
        assert client.get_model_config("deepfake_detector").config.name == "deepfake_detector"
        assert len(client.get_inference_statistics("deepfake_detector").model_stats) == 1


def test_shared_memory_cannot_be_read_by_an_inference(service: Service, images: dict[str, bytes]) -> None:
    """A region of the model processes' own, named in a request, is not known to the server."""
    with Client(service.grpc) as client:
        tensor = as_tensor(tritonclient.grpc, [images["astronaut.png"]])
        tensor.set_shared_memory("triton_python_backend_shm_region_1", 64)
        with pytest.raises(InferenceServerException, match=r"(?i)shared memory|region"):
            client.infer("deepfake_detector", [tensor], client_timeout=20)


LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F"}  # of IPv4, and the same as IPv6 writes it


def listening_addresses(port: int) -> set[str]:
    """The addresses on which something of this machine listens on a port, as the kernel writes them."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(table) as file:  # noqa: PTH123
            for line in list(file)[1:]:
                address, state = line.split()[1], line.split()[3]
                if state == "0A" and int(address.rpartition(":")[2], 16) == port:
                    found.add(address.rpartition(":")[0])
    return found


def test_all_of_triton_listens_on_loopback_only(service: Service) -> None:
    command = _command_line(service.triton_pid())
    metrics = int(next(part for part in command if part.startswith("--metrics-port=")).partition("=")[2])
    for port in (service.triton_grpc_port, service.triton_http_port, metrics):
        assert listening_addresses(port) <= LOOPBACK, port
        assert listening_addresses(port), port
    assert "--model-control-mode=none" in command


def _command_line(pid: int) -> list[str]:
    with open(f"/proc/{pid}/cmdline") as file:  # noqa: PTH123
        return file.read().split("\0")
