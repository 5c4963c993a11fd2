"""Run one long-running process of Bahi: settings, servers, lifecycle."""

import functools
from collections.abc import Awaitable, Callable

from events.takeover import Fence
from ops.embedded.discover import BOTH, connect_settings
from runtime import lifecycle, settings
from runtime.lifecycle import Stop
from runtime.settings import Settings


def run(name: str, work: Callable[[Settings, Stop], Awaitable[None]], needs: tuple[str, ...] = BOTH) -> int:
    """Run `work` until it ends or is stopped; return the exit code.

    `needs` are the settings of servers that it cannot do without; those of a running `bahi up` are used where the user
    set none. Raises SettingError.
    """
    ready = connect_settings(settings.load(), needs)
    return lifecycle.run(name, lambda stop: work(ready, stop), ready)


def fence(settings: Settings) -> Fence:
    """Give what a writer asks of the checkpoints at a takeover; writers themselves stay clear of SQL."""
    from sql import checkpoints

    assert settings.database_url is not None, "connect_settings has seen to it"
    return functools.partial(checkpoints.fence, settings.database_url)
