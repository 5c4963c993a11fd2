"""The vault: what is put comes back with its version, and nothing readable lies on the disk."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from runtime.errors import SettingError
from runtime.vault import Vault

NAME = "kite/access_token"


def test_a_secret_comes_back_with_a_version_that_grows(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    assert vault.get(NAME) is None
    assert vault.put(NAME, "first") == 1
    assert vault.put("api/key", "other") == 1
    assert vault.put(NAME, "second ₹") == 2
    assert Vault(tmp_path).get(NAME) == ("second ₹", 2)


def test_no_secret_is_readable_on_the_disk_and_only_the_owner_may_look(tmp_path: Path) -> None:
    Vault(tmp_path).put(NAME, "hush-hush")
    files = [path for path in (tmp_path / "secrets").rglob("*") if path.is_file() and path.name != ".lock"]
    assert len(files) == 2
    for path in files:
        assert b"hush" not in path.read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "secrets" / "kite").stat().st_mode) == 0o700


def test_writers_at_once_get_versions_of_their_own(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        versions = list(pool.map(lambda i: Vault(tmp_path).put(NAME, f"token {i}"), range(40)))
    assert sorted(versions) == list(range(1, 41))
    found = Vault(tmp_path).get(NAME)
    assert found is not None
    assert found[1] == 40


def test_a_new_master_key_leaves_the_old_secrets_readable(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    vault.put("old", "a")
    key = tmp_path / "secrets" / "master.key"
    key.write_bytes(Fernet.generate_key() + b"\n" + key.read_bytes())
    vault.put("new", "b")
    assert (vault.get("old"), vault.get("new")) == (("a", 1), ("b", 1))


@pytest.mark.parametrize("damage", ["missing", "other", "nonsense"])
def test_a_lost_master_key_is_told_and_never_replaced_silently(tmp_path: Path, damage: str) -> None:
    vault = Vault(tmp_path)
    vault.put(NAME, "a")
    key = tmp_path / "secrets" / "master.key"
    match damage:
        case "missing":
            key.unlink()
        case "other":
            key.write_bytes(Fernet.generate_key())
        case _:
            key.write_bytes(b"nonsense")
    with pytest.raises(SettingError) as refused:
        vault.get(NAME)
    assert "master key" in refused.value.wanted
    if damage == "missing":
        with pytest.raises(SettingError):
            vault.put(NAME, "b")


@pytest.mark.parametrize("name", ["../escape", "/absolute", "a//b", "", "a/../b", "a b"])
def test_a_name_cannot_leave_the_vault(tmp_path: Path, name: str) -> None:
    with pytest.raises(AssertionError):
        Vault(tmp_path).put(name, "x")
