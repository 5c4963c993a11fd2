"""`bahi alerts test`: whether messages arrive, before there is one that matters."""

import asyncio

from producers.alerts.outbox import Place, places
from producers.alerts.posting import Asked, post
from runtime.errors import SettingError
from runtime.lifecycle import EXIT_FAILED, EXIT_OK
from runtime.settings import Settings

TITLE = "Bahi: a test"
TEXT = "This is a test of the messages that Bahi sends. Nothing is wrong."


async def test(settings: Settings) -> int:
    """Send a test to each address side by side, print what came of each; give the exit code.

    Raises SettingError where there is no address.
    """
    if not settings.alert_urls:
        raise SettingError("an address in ALERT_URLS", "none", "set it in .env; docs/alerts.md shows some")
    to = places(settings.alert_urls)
    answers = await asyncio.gather(*(_sent(place) for place in to))
    for place, why in zip(to, answers, strict=True):
        print(f"{place.name}: not taken: {why}" if why else f"{place.name}: taken")
    return EXIT_FAILED if any(answers) else EXIT_OK


async def _sent(place: Place) -> str:
    (why,) = await post(Asked(urls=[place.url], title=TITLE, text=TEXT, good=True))
    return why
