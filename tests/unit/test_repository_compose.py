"""localstack/compose.yaml: loopback only, pinned, checked, and provisioned by our template."""

from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((PROJECT / "localstack" / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
SERVERS = sorted(name for name, service in SERVICES.items() if "ports" in service)


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_listens_on_loopback_and_says_when_it_is_ready(name: str) -> None:
    service = SERVICES[name]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert service["healthcheck"]["test"][0] == "CMD"


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_an_image_is_pinned(name: str) -> None:
    _, _, tag = SERVICES[name]["image"].partition(":")
    assert tag not in {"", "latest"}


def test_all_three_are_provisioned_once_they_are_healthy() -> None:
    provision = SERVICES["provision"]
    healthy = {
        name
        for name, wanted in provision["depends_on"].items()
        if wanted["condition"] == "service_healthy"
    }
    assert healthy == set(SERVERS) == {"minio", "dynamodb", "sqs"}
    words = provision["command"][-1].split()
    for option, server in (("s3", "minio"), ("dynamodb", "dynamodb"), ("sqs", "sqs")):
        endpoint = words[words.index(f"--{option}-endpoint") + 1]
        port = SERVICES[server]["ports"][0].rpartition(":")[2]
        assert endpoint == f"http://{server}:{port}"


def test_the_provisioner_signs_with_the_stores_credentials() -> None:
    signer, store = SERVICES["provision"]["environment"], SERVICES["minio"]["environment"]
    assert signer["AWS_ACCESS_KEY_ID"] == store["MINIO_ROOT_USER"]
    assert signer["AWS_SECRET_ACCESS_KEY"] == store["MINIO_ROOT_PASSWORD"]
