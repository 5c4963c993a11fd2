"""Where Kite is, and as whom we come: for the real service and for the sandbox."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from runtime.clock import Clock
from runtime.errors import SettingError, TokenRefused, Unreachable
from runtime.lifecycle import Stop
from runtime.log import get
from runtime.settings import Settings
from runtime.vault import Vault
from runtime.waiting import Backoff

SANDBOX = "sandbox"
SANDBOX_KEY = "sandbox"
SANDBOX_SECRET = "sandbox-secret"  # noqa: S105  # every sandbox app's secret is known to everyone

SPOKEN = (SANDBOX, "kite")  # brokers that this version takes ticks from

# A broker also refuses good tokens in passing, while it restarts, say: each is tried again once a minute. That is far
# below any of its limits (Kite Connect v3, "API rate limits": the strictest is one call a second).
REFUSED_SECONDS = 60.0

_log = get("address")


class Address(msgspec.Struct, frozen=True):
    """One broker's service. broker: `kite` or `sandbox`, as in stream names and in the vault."""

    broker: str
    api_root: str
    ws_root: str
    api_key: str


def address(settings: Settings, broker: str) -> Address:
    """Give the address of a broker that speaks Kite.

    Raises SettingError where KITE_API_KEY is missing, Unreachable where the sandbox has not yet said its port.
    """
    if broker != SANDBOX:
        if not settings.kite_api_key:
            raise SettingError(
                "KITE_API_KEY for BROKER=kite",
                "none",
                "set it to the key of your Kite Connect app, or leave BROKER out to use the sandbox",
            )
        return Address(broker, settings.kite_api_root, settings.kite_ws_root, settings.kite_api_key)
    api_root, ws_root = settings.kite_api_root, settings.kite_ws_root
    if api_root.endswith(":0") or ws_root.endswith(":0"):
        port = _sandbox_port(settings.bahi_data_dir / "sandbox" / "port")
        api_root, ws_root = f"{api_root[:-2]}:{port}", f"{ws_root[:-2]}:{port}"
    return Address(broker, api_root, ws_root, settings.kite_api_key or SANDBOX_KEY)


def _sandbox_port(path: Path) -> int:
    try:
        return int(path.read_text("ascii"))
    except (OSError, ValueError) as error:
        raise Unreachable(f"the sandbox's port in {path}", str(error), "start bahi sandbox") from error


class Tokens:
    """The access tokens that may be tried: the vault's, and given ones; one that was refused only after a while."""

    def __init__(
        self,
        settings: Settings,
        broker: str,
        clock: Clock,
        names: Sequence[str] = (),
        given: Sequence[str] | None = None,
    ) -> None:
        """names: the vault's, tried in this order; without them the broker's own. given: in place of the setting's."""
        self._vault = Vault(settings.bahi_data_dir)
        self._names = list(names) or [f"{broker}/access_token"]
        if given is None:
            given = [settings.kite_access_token] if settings.kite_access_token and broker != SANDBOX else []
        self._given = list(given)
        self._refused: dict[str, float] = {}  # when, by the monotonic clock
        self._clock = clock
        self._broker = broker

    def current(self) -> str:
        """Give the token to use. Raises TokenRefused where there is none that was not refused lately."""
        held = [each[0] for name in self._names if (each := self._vault.get(name))]
        for token in (*held, *self._given):
            if token and not self._is_refused(token):
                return token
        found = "only refused ones" if self._refused else "none"
        remedy = f"run bahi login {self._broker}"
        if self._broker == SANDBOX and not self._refused:
            remedy = f"bahi sync logs in by itself; where it does not, {remedy}"
        raise TokenRefused(f"an access token of {self._broker}", found, remedy)

    @property
    def has_refused(self) -> bool:
        """Say whether any token was refused."""
        return bool(self._refused)

    def refuse(self, token: str) -> None:
        """Do not give this token for REFUSED_SECONDS."""
        self._refused[token] = self._clock.monotonic()

    def _is_refused(self, token: str) -> bool:
        at = self._refused.get(token)
        return at is not None and self._clock.monotonic() - at < REFUSED_SECONDS

    def keep(self, token: str) -> int:
        """Put a new token into the vault; give its version."""
        return self._vault.put(self._names[0], token)

    def stamp(self) -> tuple[int, ...]:
        """Give what is another one when the vault has another token; far quicker than to open it."""
        return tuple(self._vault.stamp(name) for name in self._names)


def refuse_unspoken(settings: Settings) -> None:
    """Raise SettingError where the first broker in BROKER is none that we speak to, or lacks its key."""
    first = settings.broker[0]
    if first not in SPOKEN:
        raise SettingError(
            f"the first of BROKER out of {', '.join(SPOKEN)}",
            f"BROKER={','.join(settings.broker)}",
            "this version does not speak to it: set BROKER=kite or sandbox",
        )
    with suppress(Unreachable):  # a sandbox that does not say its port yet is waited for
        address(settings, first)


async def reachable(settings: Settings, stop: Stop) -> Address | None:
    """Give the address of the first broker in BROKER once it is known, None if the stop comes first.

    Raises SettingError for a broker that does not speak Kite.
    """
    refuse_unspoken(settings)
    backoff = Backoff()
    while not stop.is_set():
        try:
            return address(settings, settings.broker[0])
        except Unreachable as error:
            _log.info("address.waits", wanted=error.wanted, found=error.found)
            await stop.pause(backoff.next_seconds())
    return None
