"""The cpu profile once more, with Triton's gRPC port encrypted and API keys wanted."""

from pathlib import Path

import requests
import trustme

from deploy.docker.try_containers import contract
from deploy.docker.try_containers.engine import Engine
from deploy.docker.try_containers.report import Report, require

_HEALTHY_S = 240.0
_WITHOUT_TLS = """
import os
from pathlib import Path
from deepfake_client import ClientSettings, DetectionError, create_detector
for name in ("CA_FILE", "SERVER_NAME"):
    os.environ.pop(f"DEEPFAKE_CLIENT_TLS_{name}")
try:
    with create_detector("triton:8001", ClientSettings(attempts=1, timeout_s=10)) as detector:
        detector.detect(Path("/media/astronaut.png"))
except DetectionError as error:
    print("refused", type(error).__name__)
"""


def try_encrypted(engine: Engine, report: Report) -> None:
    """Makes certificates and a key, starts Triton and the gateway anew with them, and makes requests.

    Raises:
        EngineError: Triton does not come up.
    """
    photo = Path(engine.settings["MEDIA_DIR"]) / "astronaut.png"
    url = f"http://127.0.0.1:{engine.settings['PORT']}"
    _write_certificates(Path(engine.settings["SECRETS_DIR"]), Path(engine.settings["TRITON_SECRETS_DIR"]))
    engine.settings |= {
        "TRITON_TLS_CERT_FILE": "/secrets/triton.pem",
        "TRITON_TLS_KEY_FILE": "/secrets/triton.key",
        "DEEPFAKE_CLIENT_TLS_CA_FILE": "/secrets/ca.pem",
        "DEEPFAKE_CLIENT_TLS_SERVER_NAME": "triton",
    }
    with report.check("encrypted: Triton comes up and tests itself"):
        engine.recreate("triton")
        engine.await_triton()
    with report.check("encrypted: the gateway scores a photo over it"):
        engine.recreate("gateway")
        contract.await_healthy(url, _HEALTHY_S)
        contract.detect(url, photo)
    with report.check("encrypted: nobody gets through without"):
        printed = engine.exec(engine.container("gateway"), "python", "-c", _WITHOUT_TLS)
        require("refused" in printed, f"plain gRPC was answered: {printed}")
    with report.check("API keys: only a caller with one is served"):
        made = engine.exec(engine.container("gateway"), "python", "-m", "gateway.new_key", "try").splitlines()
        key, line = made[1].strip(), made[3].strip()
        keys = Path(engine.settings["SECRETS_DIR"]) / "api-keys"
        keys.write_text(f"{line}\n", "utf-8")
        keys.chmod(0o644)
        engine.settings["API_KEYS_FILE"] = str(keys)
        engine.recreate("gateway")
        contract.await_healthy(url, _HEALTHY_S)
        with photo.open("rb") as stream:
            answer = requests.post(f"{url}/detect", files={"file": stream}, timeout=60)
        require(answer.status_code == 401, f"without a key: {answer.status_code}: {answer.text}")
        contract.detect(url, photo, {"X-API-Key": key})


def _write_certificates(gateway: Path, triton: Path) -> None:
    """A certificate made out to `triton`, whose key the gateway does not see."""
    authority = trustme.CA()
    server = authority.issue_cert("triton")
    for folder in (gateway, triton):
        authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    server.cert_chain_pems[0].write_to_path(str(triton / "triton.pem"))
    server.private_key_pem.write_to_path(str(triton / "triton.key"))
    for path in (*gateway.iterdir(), *triton.iterdir()):
        path.chmod(0o644)  # for the container's user; the folder goes in a minute
