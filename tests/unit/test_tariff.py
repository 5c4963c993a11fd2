"""The dated rows of a tariff: what is in force, and what a text may not say."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from money.charges import Exchange, Segment, Tariff
from money.charges.rate import Dp
from money.charges.tariff import wanted
from runtime.errors import SettingError
from runtime.tariffs import names, shipped

TEXT = shipped().text
TARIFF = Tariff.parse(TEXT)
BEGINS = "begins = 2019-01-01"


def test_each_shipped_tariff_is_sound_and_named_by_its_content() -> None:
    for name in names():
        assert Tariff.parse(shipped(name).text).broker == name
    assert len(shipped().sha256) == 64


def test_every_day_has_one_row_of_each_kind_for_each_segment_and_exchange() -> None:
    day, last = date(2019, 1, 1), date(2027, 1, 1)
    pairs = sorted({(segment, exchange) for _, segment, exchange in wanted()})
    while day <= last:
        for segment, exchange in pairs:
            rows = TARIFF.on(day, segment, exchange)
            assert all(getattr(rows, kind).first_day <= day for kind in rows.__struct_fields__)
        day += timedelta(days=1)


def test_no_two_rows_are_in_force_at_once() -> None:
    for kind, segment, exchange in wanted():
        days = [
            rate.first_day
            for rate in TARIFF.rates
            if rate.KIND == kind.KIND
            and segment in rate.segments
            and (not rate.exchanges or exchange in rate.exchanges)
            and not rate.names
        ]
        assert len(days) == len(set(days)), (kind, segment, exchange)
        assert min(days) <= TARIFF.begins


def test_a_day_before_the_first_is_refused() -> None:
    with pytest.raises(SettingError, match=r"charges of 2018-12-31.*rows from 2019-01-01 on; set a tariff"):
        TARIFF.on(date(2018, 12, 31), "equity_intraday", "NSE")


def test_a_segment_that_the_exchange_does_not_have_is_refused() -> None:
    with pytest.raises(SettingError, match="a segment of MCX; found equity_intraday; its exchanges are NSE, BSE"):
        TARIFF.on(date(2025, 1, 1), "equity_intraday", "MCX")


def test_a_broker_without_a_tariff_is_refused() -> None:
    with pytest.raises(SettingError, match="zerodha; found nobody"):
        shipped("nobody")


def _row(**fields: str) -> str:
    return "\n[[rate]]\n" + "".join(f"{field} = {value}\n" for field, value in fields.items())


def _stamp(**fields: str) -> str:
    return _row(
        **{
            "kind": '"stamp"',
            "segments": '["equity_futures"]',
            "from": "2030-01-01",
            "percent": "1",
            "source": '"s"',
            **fields,
        }
    )


WRONG = [
    (TEXT + "[", "a tariff in TOML"),
    (TEXT + _stamp(colour='"red"'), "unknown field `colour`"),
    (TEXT + _stamp(kind='"tip"'), "Invalid value 'tip'"),
    (TEXT + _stamp(percent='"much"'), "Invalid decimal string"),
    (TEXT + _stamp(percent="-0.1"), "a negative amount"),
    (TEXT + _stamp(percent="nan"), "a negative amount|NaN"),
    (TEXT + _stamp(source='" "'), 'no source.*write "none found" and a note'),
    (TEXT + _stamp(source='"none found"'), "neither a sure source nor a note"),
    (TEXT + _stamp(confirmed="false"), "neither a sure source nor a note"),
    (TEXT + _stamp(segments="[]"), "no segment"),
    (TEXT + _stamp(exchanges='["NSE"]'), "NSE, which has none of these segments"),
    (
        TEXT + _stamp(segments='["equity_futures", "equity_intraday"]', exchanges='["NSE"]'),
        "equity_futures, which none of these exchanges has",
    ),
    (TEXT + _stamp() + _stamp(), "one row of stamp for equity_futures on NFO from each day; found two from 2030-01-01"),
    (TEXT + _stamp(names='["A"]') * 2, "on NFO A from each day; found two"),
    (TEXT.replace(BEGINS, "begins = 2005-01-01"), "a row of brokerage .* from 2005-01-01 on; found the first from"),
    (TEXT.replace(BEGINS, ""), "missing required field `begins`"),
    (TEXT.replace('kind = "clearing"', 'kind = "sebi"'), "found two from|a row of clearing .*; found none"),
    (
        TEXT + _stamp(kind='"transaction_tax"', tax='"stt"', sides='["SELL"]', percent="0"),
        "name stt or ctt with a percentage",
    ),
    (
        TEXT + _stamp(kind='"transaction_tax"', tax='"stt"', sides='["SELL"]', base='"premium"'),
        "an option is taxed on its premium",
    ),
    (
        TEXT + _stamp(kind='"transaction_tax"', tax='"stt"', sides='["SELL"]', exercise_percent="1"),
        "only options are exercised",
    ),
    (TEXT + _stamp(kind='"brokerage"', flat="20"), "flat and percent"),
]


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_a_wrong_text_is_refused_and_told_why(text: str, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        Tariff.parse(text)


def test_a_name_with_rows_of_its_own_follows_them_from_the_first_on() -> None:
    text = TEXT + _stamp(names='["MAIZE"]', **{"from": "2025-01-01"}) + _stamp(names='["MAIZE"]', percent="2")
    tariff = Tariff.parse(text)

    def percent(day: str, name: str) -> Decimal:
        return tariff.on(date.fromisoformat(day), "equity_futures", "NFO", name).stamp.percent

    assert percent("2024-12-31", "MAIZE") == percent("2035-01-01", "OTHER") == Decimal("0.002")
    assert percent("2025-01-01", "MAIZE") == 1
    assert percent("2030-01-01", "MAIZE") == 2


def test_shares_that_leave_cost_by_scrip_and_day_with_gst() -> None:
    assert TARIFF.dp_charge(date(2024, 5, 31), "NSE").total == Decimal("15.93")
    assert TARIFF.dp_charge(date(2024, 6, 1), "BSE").total == Decimal("15.34")


def test_shares_worth_little_leave_for_nothing_where_a_row_says_so() -> None:
    row = _stamp(kind='"dp"', segments='["equity_delivery"]', amount="13", free_below="100")
    tariff = Tariff.parse(TEXT + row.replace("percent = 1\n", ""))
    assert isinstance(tariff.rates[-1], Dp)
    assert tariff.dp_charge(date(2030, 1, 1), "NSE", value=Decimal("99.99")).total == 0
    assert tariff.dp_charge(date(2030, 1, 1), "NSE", value=Decimal(100)).total == Decimal("15.34")
    assert tariff.dp_charge(date(2030, 1, 1), "NSE").total == Decimal("15.34")


def test_an_exercised_option_is_taxed_on_what_it_was_worth_since_september_2019() -> None:
    worth, settled = Decimal(7500), Decimal(817500)

    def tax(day: str) -> Decimal:
        on = date.fromisoformat(day)
        return TARIFF.exercise_tax(on, "equity_options", "NFO", intrinsic=worth, settlement=settled)

    # One lot of 75 NIFTY 10,800 CE that settled at 10,900: fyers.in's notice on the change gives both.
    assert round(tax("2019-08-29"), 2) == Decimal("1021.88")
    assert round(tax("2019-09-05"), 2) == Decimal("9.38")
    assert tax("2026-04-07") == Decimal("11.25")


# As a page of 2019 has them, with the clearing that ended in March (comparesharebrokers.com, Zerodha brokerage 2019).
WITH_CLEARING: list[tuple[Segment, Exchange, str]] = [
    ("equity_futures", "NFO", "0.0021"),
    ("equity_options", "NFO", "0.053"),
    ("currency_futures", "CDS", "0.00135"),
    ("currency_options", "CDS", "0.044"),
]


@pytest.mark.parametrize(("segment", "exchange", "percent"), WITH_CLEARING)
def test_clearing_was_charged_beside_the_exchange_until_february_2019(
    segment: Segment, exchange: Exchange, percent: str
) -> None:
    rates = TARIFF.on(date(2019, 2, 28), segment, exchange)
    assert rates.exchange.percent + rates.clearing.percent == Decimal(percent)
    assert TARIFF.on(date(2019, 3, 1), segment, exchange).clearing.percent == 0


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ("percent = 100.01", "percent 100.01"),
        ("percent = 1e999999", "percent 1E+999999"),
        ("percent = 0.0000000000001", "percent 1E-13"),
        ("flat = 1000001", "flat 1000001"),
    ],
)
def test_numbers_that_no_charge_has_are_refused(row: str, found: str) -> None:
    text = (
        f'{TEXT}\n[[rate]]\nkind = "brokerage"\nsegments = ["equity_intraday"]\nfrom = 2030-01-01\nsource = "x"\n{row}'
    )
    with pytest.raises(SettingError, match=f"a sound row of brokerage; found {found.replace('+', '.')}"):
        Tariff.parse(text)


@pytest.mark.parametrize("text", ["a = " + "[" * 5000, "a = " + "1" * 5000, "a = 1e99999999999999999999", "a = \0"])
def test_a_text_that_cannot_be_read_at_all_is_refused(text: str) -> None:
    with pytest.raises(SettingError, match="a tariff in TOML"):
        Tariff.parse(text)
