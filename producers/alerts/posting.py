"""One letter to one address: through Apprise, in a child process that ends in time, whatever the other side does.

Apprise blocks, and it and the HTTP client below it print addresses, which are secrets. A thread cannot be cut off, and
shares its loggers with everybody; a child can be killed, and what it prints is thrown away. It is given the address
on its standard input, where no list of processes shows it, and gives back words of ours alone.
"""

import asyncio
import logging
import os
import re
import signal
import sys
from collections.abc import Sequence

import msgspec

# Apprise waits 4 s for the connection and 4 s for each answer, and some services are called twice; an interpreter on a
# slow machine needs a few to start.
POST_SECONDS_MAX = 40
STATUS = re.compile(r"\berror=(\d{3})\b")  # as Apprise's services say it
UNREACHED = "connection error"

NO_ADDRESS = "Apprise does not know such an address"
OUT_OF_TIME = f"no answer within {POST_SECONDS_MAX} s"
NOT_TAKEN = "it was not taken"
NOT_REACHED = "it cannot be reached, or does not answer"
NOT_STARTED = "the program that sends it cannot be started"
ENDED = "the program that sends it ended without a word"
ORPHAN = "whoever asked for it is gone"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the child is to do: send a letter to each address, or without a text only look whether Apprise knows it.

    asker: the process that asks.
    """

    urls: Sequence[str]
    title: str = ""
    text: str = ""
    good: bool = False
    asker: int = msgspec.field(default_factory=os.getpid)

    def __repr__(self) -> str:
        """Show no address."""
        return f"Asked({len(self.urls)} addresses, {self.title!r})"


async def post(asked: Asked) -> list[str]:
    """Send it; give for each address why it was not taken, empty where it was."""
    pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    words = (sys.executable, "-m", "producers.alerts.posting")
    try:
        child = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe, stderr=nothing)
    except OSError as error:  # no memory, or no process more
        return [f"{NOT_STARTED}: {error.strerror}"] * len(asked.urls)
    try:
        async with asyncio.timeout(POST_SECONDS_MAX):
            answer, _ = await child.communicate(msgspec.json.encode(asked))
        return msgspec.json.decode(answer, type=list[str])
    except TimeoutError:
        return [OUT_OF_TIME] * len(asked.urls)
    except msgspec.DecodeError:
        return [ENDED] * len(asked.urls)
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


class _Words(logging.Handler):
    """Keeps what Apprise says, out of which a status is read."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())

    def why(self) -> str:
        """Give in our words why it was not taken: never what Apprise said, which may hold the address."""
        text = "\n".join(self.said)
        if status := STATUS.search(text):
            return f"it answered {status[1]}"
        return NOT_REACHED if UNREACHED in text.lower() else NOT_TAKEN


def _send(url: str, asked: Asked) -> str:
    import apprise

    words, logger = _Words(), logging.getLogger("apprise")
    logger.handlers[:], logger.propagate = [words], False
    place = apprise.Apprise()
    if not place.add(url):
        return NO_ADDRESS
    if not asked.text:
        return ""
    if os.getppid() != asked.asker:  # it was killed meanwhile, and its next start sends the letter
        return ORPHAN
    kind = apprise.NotifyType.SUCCESS if asked.good else apprise.NotifyType.WARNING
    taken = place.notify(asked.text, title=asked.title, notify_type=kind, body_format=apprise.NotifyFormat.TEXT)
    return "" if taken else words.why()


def main() -> None:
    """Be the child."""
    signal.alarm(POST_SECONDS_MAX)  # also when nobody is left to kill it
    answer = os.dup(sys.stdout.fileno())
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what a library prints is not our answer
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=Asked)
    os.write(answer, msgspec.json.encode([_send(url, asked) for url in asked.urls]))


if __name__ == "__main__":
    main()
