import pytest

from deepfake_client.errors import ConfigurationError, ServerUnavailableError
from deepfake_client.triton.target import parse_target


@pytest.mark.parametrize(
    ("text", "for_grpc", "has_several"),
    [
        ("triton:8001", "triton:8001", False),
        ("grpc://triton:8001", "triton:8001", False),
        ("[::1]:8001", "[::1]:8001", False),
        ("triton.example.:8001", "triton.example.:8001", False),
        ("dns:///triton:8001", "dns:///triton:8001", True),
        ("dns://triton:8001", "dns:///triton:8001", True),
        ("dns:triton:8001", "dns:///triton:8001", True),
        ("dns://127.0.0.1:53/triton:8001", "dns://127.0.0.1:53/triton:8001", True),
        ("ipv4:10.0.0.1:8001,10.0.0.2:8002", "ipv4:10.0.0.1:8001,10.0.0.2:8002", True),
        ("10.0.0.1:8001, 10.0.0.2:8001,10.0.0.1:8001", "ipv4:10.0.0.1:8001,10.0.0.2:8001", True),
        ("ipv6:[::1]:8001,[::2]:8001", "ipv6:[::1]:8001,[::2]:8001", True),
        ("10.0.0.1:8001,[::2]:8001", "ipv6:[::ffff:10.0.0.1]:8001,[::2]:8001", True),
        ("localhost:8001,127.0.0.2:8001", "ipv4:127.0.0.1:8001,127.0.0.2:8001", True),
        ("dns://localhost:8001,dns://127.0.0.2:8001", "ipv4:127.0.0.1:8001,127.0.0.2:8001", True),
        ("localhost:8001,nowhere.invalid:8001", "ipv4:127.0.0.1:8001", True),
    ],
)
def test_what_grpc_gets(text: str, for_grpc: str, has_several: bool) -> None:
    target = parse_target(text)
    assert (target.for_grpc(), target.has_several) == (for_grpc, has_several)
    assert parse_target(text.split(",")) == target
    assert parse_target(str(target)) == target


@pytest.mark.parametrize(
    "text",
    [
        "", ",", "triton", "triton:", "triton:0", "triton:65536", "triton:٣", "a..b:8001", ".a:1", "-a:1", "a_:1 b:2",
        f"{'a' * 64}:1", f"{'a.' * 127}a:1", "::1:8001", "[triton]:8001", "[]:1", "a:8001,", "a/b:8001",
        "dns:///:1", "dns://x/a:1", "dns:///a..b:1", "tést:1",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_with_what_to_give(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"is no address of a Triton server.*give host:port"):
        parse_target(text)


def test_a_web_address_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"is a web address.*gRPC: give host:port"):
        parse_target("http://a:1")


def test_lists_in_files_are_gone_and_the_message_says_what_to_use() -> None:
    with pytest.raises(ConfigurationError, match=r"no longer followed.*dns:///name:port"):
        parse_target("file:/etc/tritons")


def test_a_list_without_one_address_is_a_server_that_is_away() -> None:
    with pytest.raises(ServerUnavailableError, match="has an address"):
        parse_target("nowhere.invalid:1,nobody.invalid:1").for_grpc()
