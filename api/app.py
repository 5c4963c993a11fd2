"""The application: routes, what they are given, how errors are answered; the door around all of it."""

from collections.abc import Sequence

from litestar import Litestar
from litestar.di import Provide
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import ASGIApp

from api import answers, candles, health, instruments, latest, page, parked, session, status
from api.accounts import changes, postback, reconciliation, roster, runs, setup, standing, sync, trading
from api.accounts.known import Answers
from api.accounts.socket import AccountSocket
from api.analytics import days, performance, pnl, preview, tax_lots
from api.analytics import trades as results
from api.analytics.wanted import Now
from api.decisions import actions, by_hand, corrections, rules, strategies, tariffs
from api.digits import ExactResponse, NumberSchema
from api.door import ACCOUNTS_PATH, SOCKET_PATH, Door
from api.parked import Finder
from api.parts import Parts
from api.socket import TickSocket

BODY_BYTES_MAX = 1024 * 1024  # 9,000 instruments by symbol are 250 KB

ROUTES = [
    actions.list_actions,
    actions.remove_action,
    actions.set_action,
    by_hand.attribute,
    by_hand.unattribute,
    candles.list_candles,
    changes.list_changes,
    changes.stream_changes,
    days.list_days,
    days.list_hours,
    days.show_equity,
    corrections.list_corrections,
    corrections.remove_correction,
    corrections.set_correction,
    health.health,
    health.read_metrics,
    health.ready,
    instruments.describe_instrument,
    instruments.list_instruments,
    instruments.subscribe,
    instruments.sync_instruments,
    instruments.unsubscribe,
    latest.latest_of_many,
    latest.latest_of_one,
    latest.watchlist,
    page.icon,
    page.shell,
    page.web_file,
    parked.list_parked,
    parked.retry,
    parked.set_aside,
    parked.show_parked,
    postback.take_postback,
    reconciliation.list_divergences,
    performance.show_distribution,
    performance.show_performance,
    pnl.account_pnl,
    pnl.all_pnl,
    pnl.strategy_pnl,
    preview.preview_rules,
    results.all_trades,
    results.strategy_trades,
    roster.list_accounts,
    roster.show_account,
    rules.apply_rule,
    rules.list_rules,
    rules.remove_rule,
    rules.set_rule,
    runs.list_runs,
    runs.read_sync_status,
    session.log_in,
    session.log_out,
    session.make_ticket,
    session.read_session,
    setup.add_account,
    setup.bring_token,
    setup.remove_account,
    standing.list_holdings,
    standing.list_margins,
    standing.list_positions,
    status.list_gaps,
    status.read_status,
    strategies.end_strategy,
    strategies.list_strategies,
    strategies.set_strategy,
    strategies.show_strategy,
    sync.sync_account,
    sync.sync_kind,
    tariffs.list_tariffs,
    tariffs.remove_tariff,
    tariffs.set_tariff,
    tariffs.show_tariff,
    tax_lots.show_tax_lots,
    trading.list_orders,
    trading.list_trades,
    trading.show_order,
]

# What a replay's server has beside the tick socket: nothing that asks the tables or writes.
REPLAY_ROUTES = [health.health, latest.latest_of_many, latest.latest_of_one, session.make_ticket]

DESCRIPTION = """The HTTP interface of Bahi. Errors are `{"detail": ...}` with the status that fits; lists are paged by
`cursor` and `next`; times are ISO 8601 with offset. `WS /api/ws/ticks` streams live ticks, `WS /api/ws/accounts` what
changes in the accounts: see docs/api.md."""


def create_app(parts: Parts, routes: Sequence[HTTPRouteHandler] = ROUTES) -> Door:
    """Give the whole application, as ASGI; `parts` are run by whoever serves it (see `api.server`)."""
    given: dict[str, object] = {
        "answers": Answers(parts.tables, parts.clock, parts.pulls),
        "codes": parts.codes,
        "data_dir": parts.settings.bahi_data_dir,
        "following": parts.following,
        "finder": Finder(parts.make_reader),
        "keys": parts.keys,
        "live": parts.live,
        "now": Now(parts.clock),
        "page": parts.page,
        "requests": parts.requests,
        "settings": parts.settings,
        "tables": parts.tables,
        "tickets": parts.tickets,
        "watch": parts.watch,
    }
    inside = Litestar(
        routes,
        dependencies={name: _always(part) for name, part in given.items()},
        exception_handlers=answers.HANDLERS,
        openapi_config=_openapi(),
        plugins=[NumberSchema()],
        response_class=ExactResponse,
        request_max_body_size=BODY_BYTES_MAX,
        logging_config=None,
    )
    sockets: dict[str, ASGIApp] = {SOCKET_PATH: TickSocket(parts.live, parts.make_reader, parts.closing)}
    if routes is ROUTES:
        sockets[ACCOUNTS_PATH] = AccountSocket(parts.following, parts.tables)
    return Door(parts.settings, parts.keys, parts.tickets, parts.live.prices, inside, sockets)


def _always(part: object) -> Provide:
    return Provide(lambda: part, sync_to_thread=False)


def _openapi() -> OpenAPIConfig:
    key = SecurityScheme(type="http", scheme="bearer", description="BAHI_API_KEY, or the vault's key (`bahi key`)")
    return OpenAPIConfig(
        title="Bahi",
        version="1",
        description=DESCRIPTION,
        path="/schema",
        render_plugins=[JsonRenderPlugin(path="/openapi.json")],
        components=Components(security_schemes={"key": key}),
        security=[{"key": []}],
    )
