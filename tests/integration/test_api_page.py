"""The page: all its files are there and fit each other, nothing comes from outside, nothing is made of HTML text.

No browser runs here. What a script asks of the page (its elements), of its neighbours (their exports) and of the API
(its paths, and the fields of its answers) is read from the scripts and looked up.
"""

import re
from functools import cache
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import aiohttp
import msgspec
import pytest

from api.accounts import changes, difference, reconciliation, roster, runs, setup, shown, sync
from api.analytics import days, figures, marks, performance, pnl, preview, trades
from api.app import create_app
from api.decisions import actions, corrections, rules, strategies, taken
from api.decisions.by_hand import Attributed
from api.latest import LatestPage, Watched
from api.performance import Daily, EquityPoint, Trips
from runtime.settings import Settings
from tests.api_server import serving

pytestmark = pytest.mark.anyio

WEB = files("api").joinpath("web")
SCRIPTS = {each.name: each.read_text() for each in WEB.iterdir() if each.name.endswith(".js")}
SHELL = WEB.joinpath("index.html").read_text()
DOCS = Path("docs/reconciliation.md").read_text()
IMPORT = re.compile(
    r'^import \{([^}]*)\} from "\./([a-z_]+\.js)";$|^import \* as (\w+) from "\./([a-z_]+\.js)";$', re.MULTILINE
)
EXPORT = re.compile(r"^export (?:async )?(?:function|class|const) (\w+)", re.MULTILINE)
FORBIDDEN = (
    "innerHTML",
    "outerHTML",
    "insertAdjacentHTML",
    "HTMLUnsafe",
    "setHTML",
    "createContextualFragment",
    "DOMParser",
    "srcdoc",
    "javascript:",
    "document.write",
    "eval(",
    "new Function",
    "http://",
    "https://",
)

# What the scripts read of each answer.
RELIED_ON: dict[type[msgspec.Struct], str] = {
    roster.Account: (
        "account_id broker user name active last_sync_at last_sync_status last_sync_error failures "
        "age_seconds remedy kinds"
    ),
    roster.KindAge: "asked_at synced_at rows",
    shown.Position: (
        "exchange tradingsymbol product instrument_token quantity multiplier average_price last_price pnl day_pnl"
    ),
    shown.Holding: (
        "exchange tradingsymbol instrument_token quantity t1_quantity collateral_quantity average_price "
        "last_price pnl day_change"
    ),
    shown.Order: (
        "account_id day order_id exchange_order_id exchange tradingsymbol side order_type product "
        "variety validity quantity price trigger_price filled_quantity average_price status "
        "status_message tags strategy_id strategy_reason created_at observed_at"
    ),
    shown.OrderState: "status status_message quantity filled_quantity average_price told_at observed_at",
    shown.Trade: (
        "day exchange order_id trade_id time tradingsymbol product side quantity price strategy_id strategy_reason"
    ),
    shown.Margin: "segment enabled net available utilised",
    shown.Told: "next synced_at",
    runs.SyncRun: "n trigger started_at finished_at outcome success error results asked",
    runs.Pulled: "ok rows unchanged",
    sync.Pulling: "request stream",
    setup.NewToken: "access_token",
    difference.Change: "account_id kind key change before after observed_at",
    changes.ChangePage: "changes cursor",
    strategies.Strategy: "strategy_id name description active described rules accounts",
    strategies.StrategyPage: "strategies next decided",
    strategies.Described: "strategy_id name description active",
    rules.RuleShown: "rule_id strategy_id kind pattern account_id priority valid_from valid_to draft",
    rules.WantedRule: "rule_id strategy_id kind pattern account_id priority valid_from valid_to draft",
    taken.Decided: "request stream",
    reconciliation.ReconciliationPage: "divergences counts",
    reconciliation.Divergence: "exchange tradingsymbol product type ours theirs settling evidence observed_at",
    corrections.Correction: (
        "fill_id exchange tradingsymbol product side quantity price time order_id strategy_id reason"
    ),
    corrections.CorrectionPage: "corrections next",
    actions.CorporateAction: "action_id kind exchange tradingsymbol day ratio_old ratio_new",
    actions.CorporateActionPage: "actions next",
    Attributed: "account_id day exchange order_id trade_id strategy_id",
    pnl.Pnl: "total strategies open uncharged",
    figures.Figures: "strategy_id realised unrealised charges net open_lines unpriced trades",
    figures.Uncharged: "error",
    marks.OpenLine: (
        "account_id exchange tradingsymbol product quantity fifo_price last_price price_from price_at unrealised"
    ),
    trades.TradeResult: (
        "account_id day exchange order_id trade_id time tradingsymbol side quantity price strategy_reason "
        "charges realised"
    ),
    preview.Preview: "trades moved drafts strategies",
    preview.SideBySide: "strategy_id now drafted",
    preview.MovedTrade: (
        "account_id day exchange order_id trade_id time tradingsymbol side quantity price strategy_id draft_strategy_id"
    ),
    days.DayResult: "day realised charges net trades",
    days.EquityCurve: "points",
    EquityPoint: "day net equity drawdown",
    performance.Performance: "trips days",
    Trips: "count win_rate profit_factor expectancy",
    Daily: "best_day worst_day",
    Watched: "instrument_token exchange tradingsymbol name segment instrument_type tick_size",
    LatestPage: "ticks",
}


class Shell(HTMLParser):
    """What stands in the shell."""

    def __init__(self) -> None:
        """Read it."""
        super().__init__()
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(SHELL)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]


@cache
def shell() -> Shell:
    """Give the shell, read once."""
    return Shell()


async def test_every_file_is_served_as_what_it_is_to_everybody(settings: Settings) -> None:
    kinds = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml", "html": "text/html"}
    async with serving(settings) as api, aiohttp.ClientSession(api.url) as stranger:
        for each in WEB.iterdir():
            kind = kinds[each.name.rpartition(".")[2]]
            async with stranger.get(f"/web/{each.name}") as answer:
                assert answer.status == 200, each.name
                assert answer.headers["content-type"].startswith(kind)
                assert await answer.read() == each.read_bytes()
        async with stranger.get("/") as answer:
            assert await answer.text() == SHELL


def test_no_text_becomes_html_and_nothing_comes_from_outside() -> None:
    for name, text in {**SCRIPTS, "style.css": WEB.joinpath("style.css").read_text()}.items():
        for word in FORBIDDEN:
            assert word not in text, f"{word} in {name}"
    assert "url(" not in WEB.joinpath("style.css").read_text()
    for tag, name, value in shell().attributes:
        assert name != "style", f"<{tag} style> is refused by the content policy"
        assert not name.startswith("on"), f"<{tag} {name}> is refused by the content policy"
        if name in ("src", "href"):
            assert value.startswith(("/", "#")), f"<{tag} {name}={value}> leads outside"
            if value.startswith("/web/"):
                assert WEB.joinpath(value.removeprefix("/web/")).is_file(), value


def test_every_element_that_a_script_asks_for_is_in_the_shell_once() -> None:
    ids = shell().ids
    assert len(ids) == len(set(ids)), "an id stands twice"
    assert len(ids) > 50
    for name, text in SCRIPTS.items():
        for wanted in re.findall(r'\$\("([a-z-]+)"\)', text):
            assert wanted in ids, f"{name} asks for #{wanted}"
    for tag, name, value in shell().attributes:
        if name in ("aria-controls", "aria-labelledby", "for"):
            assert value in ids, f"<{tag} {name}={value}>"


def test_every_view_has_its_part_of_the_page_which_is_no_anchor_that_a_browser_scrolls_to() -> None:
    views = [value[1:] for tag, name, value in shell().attributes if tag == "a" and name == "href" and value[0] == "#"]
    assert len(views) == 4
    for view in views:
        assert f"view-{view}" in shell().ids
        assert view not in shell().ids


def test_every_import_is_exported_and_every_script_is_used() -> None:
    used = {"app.js"}
    for name, text in SCRIPTS.items():
        assert text.count("\nimport ") + text.startswith("import ") == len(IMPORT.findall(text)), f"an import of {name}"
        for names, source, alias, whole in IMPORT.findall(text):
            used.add(source or whole)
            exported = EXPORT.findall(SCRIPTS[source or whole])
            wanted = (
                re.findall(rf"(?<!/){alias}\.(\w+)", text) if alias else [each.strip() for each in names.split(",")]
            )
            for each in filter(None, wanted):
                assert each in exported, f"{name} wants {each} of {source or whole}"
    assert used == set(SCRIPTS), "a script that nobody imports"


def test_numbers_are_written_in_one_place() -> None:
    for name, text in SCRIPTS.items():
        if name != "format.js":
            assert "NumberFormat" not in text, f"{name} writes numbers by itself; ask format.js"
            assert "toLocale" not in text, name


def test_the_page_has_a_word_and_an_advice_for_every_type_of_divergence() -> None:
    told = re.search(r"const TYPES = \{(.*?)\n\};", SCRIPTS["divergences.js"], re.DOTALL)
    assert told is not None
    known = re.findall(r"^\| `([a-z_]+)` \|", DOCS, re.MULTILINE)
    assert len(known) > 8
    assert re.findall(r"^  ([a-z_]+): \[", told[1], re.MULTILINE) == known


def test_a_form_names_every_field_that_its_script_sends() -> None:
    names = {value for tag, name, value in shell().attributes if name == "name" and tag in ("input", "select")}
    for script in ("corrections.js", "actions.js"):
        for listed in re.findall(r'\[((?:"[a-z_]+"(?:, )?)+)\]', SCRIPTS[script]):
            asked = re.findall(r'"([a-z_]+)"', listed)
            assert set(asked) <= names, f"{script}: {set(asked) - names}"
        for asked_one in re.findall(r'(?:field|value)\("([a-z_]+)"\)', SCRIPTS[script]):
            assert asked_one in names, f"{script}: {asked_one}"


async def test_every_path_that_a_script_asks_for_is_a_route(settings: Settings) -> None:
    async with serving(settings) as api:
        known = create_app(api.parts).inside.routes  # type: ignore[attr-defined]  # the framework's, behind ASGI's type
    routes = [re.sub(r"\{[^}]+\}", "[^/]+", route.path) for route in known]
    asked = {
        re.sub(r"\$\{[^}]*\}", "x", path.partition("?")[0])
        for text in SCRIPTS.values()
        for path in re.findall(r'[`"](/(?:api|accounts|analytics|sync|changes)[^`"\s]*)[`"]', text)
    }
    assert len(asked) > 8
    for path in asked - {"/api/ws/ticks", "/api/ws/accounts"}:
        assert any(re.fullmatch(route, path) for route in routes), f"the page asks for {path}"


def test_the_fields_that_the_scripts_read_are_in_the_answers() -> None:
    text = "\n".join(SCRIPTS.values())
    for shape, names in RELIED_ON.items():
        fields = {field.encode_name for field in msgspec.structs.fields(shape)}
        for name in names.split():
            assert name in fields, f"the page relies on {shape.__name__}.{name}"
            assert re.search(rf"\b{name}\b", text), f"{name} stands here and no script reads it"
