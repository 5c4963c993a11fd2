"""`bahi key`."""

import rich_click as click


@click.command()
def command() -> int:
    """Print the administrator's key of the API: BAHI_API_KEY, else the one that `bahi up` made."""
    from api.keys import KEY_NAME
    from runtime import settings
    from runtime.errors import SettingError
    from runtime.vault import Vault

    loaded = settings.load()
    kept = Vault(loaded.bahi_data_dir).get(KEY_NAME)
    key = loaded.bahi_api_key or (kept[0] if kept else None)
    if key is None:
        raise SettingError(
            "an administrator's key",
            f"neither BAHI_API_KEY nor one in the vault of {loaded.bahi_data_dir}",
            "start `bahi up`, which makes one, or set BAHI_API_KEY",
        )
    print(key)
    return 0
