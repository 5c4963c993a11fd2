"""How long tests wait for what must come: a limit of patience, never a measure of speed."""

import asyncio
from collections.abc import Callable

import pytest

from runtime.lifecycle import Stop

PATIENCE_SECONDS = 120.0
"""What has not come by then does not come. A slow machine under load takes twenty times as long as a quiet one, and a
wait that is long costs nothing where all is well."""
LOOK_SECONDS = 0.05  # between two looks, so that who is waited for has the processor


async def until(holds: Callable[[], bool]) -> None:
    """Look until something that can only be looked at holds: a file, what another process said."""
    never = Stop()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not holds():
            await never.pause(LOOK_SECONDS)


async def until_said(capsys: pytest.CaptureFixture[str], event: str) -> str:
    """Wait until a line of the log on standard output has it; give all lines since the last look."""
    said = ""

    def is_said() -> bool:
        nonlocal said
        said += capsys.readouterr().out
        return event in said

    await until(is_said)
    return said
