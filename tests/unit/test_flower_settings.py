"""Where Flower may listen, and what is no password's place."""

from pathlib import Path

import pytest

from driftfleet.configuration import load_settings
from driftfleet.errors import ConfigurationError
from producer.flower_application import tls_options
from producer.flower_server import is_loopback


def test_by_default_it_is_this_machines_alone_and_has_no_password() -> None:
    flower = load_settings(environment={}).flower
    assert (flower.host, flower.port, flower.password) == ("127.0.0.1", 5555, None)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.0.1", "::1"])
def test_loopback(address: str) -> None:
    assert is_loopback(address)


@pytest.mark.parametrize(
    "address", ["0.0.0.0", "::", "10.0.0.1", "192.168.1.1", "fe80::1%eth0", "169.254.1.1"]
)
def test_what_others_can_connect_to_is_no_loopback(address: str) -> None:
    assert not is_loopback(address)


def test_a_file_with_the_password_is_found_beside_fleet_yaml(tmp_path: Path) -> None:
    (tmp_path / "fleet.yaml").write_text("flower: {password: file://flower.txt}\n")
    settings = load_settings(tmp_path / "fleet.yaml", {})
    assert settings.flower.password == f"file://{tmp_path}/flower.txt"


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("PASSWORD", "hunter2", "never the password itself"),
        ("USER", "a:b", "without ':'"),
        ("USER", "ü", "printable ASCII"),
        ("PORT", "70000", "at most 65535"),
    ],
)
def test_what_does_not_fit_is_told_with_its_variable(variable: str, value: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(environment={f"DRIFTFLEET_FLOWER__{variable}": value})
    assert caught.value.message.startswith(f"DRIFTFLEET_FLOWER__{variable}: ")
    assert words in caught.value.message
    assert "hunter2" not in caught.value.message


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {}),
        ("?ssl_cert_reqs=CERT_REQUIRED", {"ssl_cert_reqs": "required"}),
        ("?ssl_cert_reqs=none&db=1", {"ssl_cert_reqs": "none"}),
        ("?ssl_ca_certs=/ca.pem", {"ssl_ca_certs": "/ca.pem"}),
    ],
)
def test_tls_is_what_the_brokers_url_says(query: str, expected: dict[str, str]) -> None:
    assert tls_options(f"rediss://:pw@h:6379/0{query}") == expected
    assert tls_options(f"redis://:pw@h:6379/0{query}") == {}
