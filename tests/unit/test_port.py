"""An address to listen on: what is wrong with it decides what to do about it."""

import pytest

from runtime import port
from runtime.errors import SettingError


def test_a_free_port_is_good() -> None:
    port.refuse_taken("API_PORT", "127.0.0.1", 0)


def test_a_taken_port_is_named(taken_port: int) -> None:
    with pytest.raises(SettingError) as refused:
        port.refuse_taken("BAHI_SANDBOX_PORT", "127.0.0.1", taken_port)
    assert f"BAHI_SANDBOX_PORT={taken_port}" in refused.value.wanted
    assert "set BAHI_SANDBOX_PORT to another port" in refused.value.remedy


def test_an_address_of_another_machine_is_the_hosts_fault() -> None:
    with pytest.raises(SettingError) as refused:
        port.refuse_taken("API_PORT", "192.0.2.1", 8000)  # of TEST-NET-1: no machine has it
    assert "192.0.2.1" in refused.value.found
    assert "API_HOST" in refused.value.remedy
