"""Performance figures: examples worked out by hand, what is not defined, and bounds that hold for all results."""

import math
import statistics
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.performance import Bin, Daily, Day, calendar, daily, equity_curve, histogram, of_days, of_trips
from api.performance.histogram import BINS_MAX
from runtime.errors import BadInput

MONDAY = date(2026, 5, 4)
LAKH = Decimal(100_000)

nets = st.decimals(-100_000, 100_000, places=2)


def day(number: int) -> date:
    return MONDAY + timedelta(days=number)


def days(*results: str | Decimal) -> list[Day]:
    return [Day(day(number), Decimal(net)) for number, net in enumerate(results)]


def trips(*results: str | Decimal) -> list[Decimal]:
    return [Decimal(net) for net in results]


# Ten trips by hand: 5 wins of 1000, 250.50, 400, 600, 149.50 = 2400; 4 losses of 300, 100, 500, 300 = 1200; one even.
TEN = trips("1000", "250.50", "-300", "-100", "0", "-500", "400", "600", "149.50", "-300")


def test_ten_trips_by_hand() -> None:
    said = of_trips(TEN)
    assert (said.count, said.wins, said.losses, said.even) == (10, 5, 4, 1)
    assert (said.gross_profit, said.gross_loss, said.net) == (Decimal(2400), Decimal(-1200), Decimal(1200))
    assert (said.win_rate, said.profit_factor, said.expectancy) == (Decimal("0.5"), Decimal(2), Decimal(120))
    assert (said.average_win, said.average_loss) == (Decimal(480), Decimal(-300))
    assert (said.largest_win, said.largest_loss) == (Decimal(1000), Decimal(-500))
    assert (said.longest_wins, said.longest_losses, said.streak) == (3, 2, -1)


def test_a_trip_of_nothing_ends_a_streak() -> None:
    assert of_trips(trips("1", "-1", "1", "1")).streak == 2
    assert of_trips(trips("1", "0")).streak == 0
    assert of_trips(trips("1", "0", "1")).longest_wins == 1
    assert (of_trips(trips("1", "2")).longest_losses, of_trips(trips("-1", "-2")).longest_wins) == (0, 0)


def test_trips_without_a_loss_have_no_profit_factor_and_no_average_loss() -> None:
    said = of_trips(trips("10", "0"))
    assert (said.profit_factor, said.average_loss, said.largest_loss) == (None, None, None)
    assert (said.win_rate, said.average_win) == (Decimal("0.5"), Decimal(10))


def test_trips_without_a_win_have_a_profit_factor_of_0() -> None:
    said = of_trips(trips("-10"))
    assert (said.profit_factor, said.win_rate) == (Decimal(0), Decimal(0))
    assert (said.average_win, said.largest_win) == (None, None)


def test_of_no_trips_nothing_is_known() -> None:
    said = of_trips([])
    assert (said.count, said.longest_wins, said.longest_losses, said.streak) == (0, 0, 0, 0)
    assert said.net == 0
    assert {said.win_rate, said.profit_factor, said.expectancy, said.average_win, said.largest_loss} == {None}


@given(st.lists(nets | st.sampled_from([Decimal(0), Decimal(1), Decimal(-1)]), max_size=30))
def test_figures_of_trips_stay_in_their_bounds(results: list[Decimal]) -> None:
    said = of_trips(trips(*results))
    assert said.wins + said.losses + said.even == said.count == len(results)
    assert said.gross_profit + said.gross_loss == said.net == sum(results)
    assert said.longest_wins <= said.wins
    assert said.longest_losses <= said.losses
    assert -said.longest_losses <= said.streak <= said.longest_wins
    assert (said.win_rate is None) == (not results)
    assert said.win_rate is None or 0 <= said.win_rate <= 1
    assert (said.profit_factor is None) == (not said.losses)
    if said.losses and said.average_loss is not None and said.largest_loss is not None:
        assert said.largest_loss <= said.average_loss < 0
    if said.wins and said.average_win is not None and said.largest_win is not None:
        assert 0 < said.average_win <= said.largest_win
    if said.wins and said.losses and said.profit_factor is not None:
        assert said.profit_factor == pytest.approx(said.gross_profit / -said.gross_loss, abs=Decimal("1e-6"))
    if said.expectancy is not None:
        rate = Decimal(1) / said.count
        by_parts = said.wins * rate * (said.average_win or 0) + said.losses * rate * (said.average_loss or 0)
        assert abs(said.expectancy - by_parts) <= Decimal("0.02"), "win rate x average win + loss rate x average loss"


# Five sessions by hand, on 100,000: returns 1 %, -0.5 %, 0, 2 %, -1.5 %; mean 0.2 %. Squares of what differs from it:
# 64 + 49 + 4 + 324 + 289 = 730 millionths, / 4, root 0.0135092561. Of what fell short: 25 + 225 = 250 millionths, / 5,
# root 0.0070710678. The root of 252 is 15.8745079.
FIVE = days("1000", "-500", "0", "2000", "-1500")


def test_five_days_by_hand() -> None:
    said = of_days(FIVE, LAKH)
    assert (said.sessions, said.winning, said.losing, said.net) == (5, 2, 2, Decimal(1000))
    assert (said.average_day, said.total_return) == (Decimal(200), Decimal("0.01"))
    assert (said.best_day, said.worst_day) == (FIVE[3], FIVE[4])
    assert said.volatility == Decimal("0.214453")  # 0.0135092561 x 15.8745079
    assert said.sharpe == Decimal("2.350168")  # 0.002 / 0.0135092561 x 15.8745079
    assert said.sortino == Decimal("4.489989")  # 0.002 / 0.0070710678 x 15.8745079


def test_the_risk_free_rate_is_taken_off_each_session() -> None:
    """5.04 % a year are 0.02 % a session: the mean is 0.18 %; days fall short by 0.52, 1.52 and 0.02 %."""
    said = of_days(FIVE, LAKH, risk_free=Decimal("0.0504"))
    assert said.volatility == Decimal("0.214453")
    assert said.sharpe == pytest.approx(Decimal(0.0018 / 0.0135092561 * math.sqrt(252)), abs=Decimal("1e-6"))
    shortfall = math.sqrt((0.0052**2 + 0.0152**2 + 0.0002**2) / 5)
    assert said.sortino == pytest.approx(Decimal(0.0018 / shortfall * math.sqrt(252)), abs=Decimal("1e-6"))


def test_the_deepest_fall_and_the_steepest_one_are_told_apart() -> None:
    """On 1,000: down 300 of 1,000 (30 %) and back in two days; up to 10,000; down 1,500 of it (15 %), not back yet."""
    said = of_days(days("-300", "100", "250", "8950", "-1000", "-500", "200"), Decimal(1000))
    assert said.steepest is not None
    assert (said.steepest.amount, said.steepest.percent) == (Decimal(300), Decimal(30))
    assert (said.steepest.peak_day, said.steepest.trough_day, said.steepest.recovered_day) == (None, day(0), day(2))
    assert said.deepest is not None
    assert (said.deepest.amount, said.deepest.percent) == (Decimal(1500), Decimal(15))
    assert (said.deepest.peak_day, said.deepest.trough_day, said.deepest.recovered_day) == (day(3), day(5), None)


def test_equity_that_only_reaches_its_peak_again_has_recovered() -> None:
    said = of_days(days("100", "-50", "50", "-10"))
    assert said.deepest is not None
    assert (said.deepest.peak_day, said.deepest.trough_day, said.deepest.recovered_day) == (day(0), day(1), day(2))
    assert said.deepest.percent is None


def test_without_capital_there_are_no_returns() -> None:
    said = of_days(FIVE)
    assert {said.total_return, said.volatility, said.sharpe, said.sortino, said.steepest} == {None}
    assert said.deepest is not None
    assert said.deepest.amount == Decimal(1500)


def test_one_day_deviates_from_nothing() -> None:
    said = of_days(days("100"), LAKH)
    assert {said.volatility, said.sharpe, said.sortino, said.deepest, said.steepest} == {None}
    assert said.total_return == Decimal("0.001")


@pytest.mark.parametrize("capital", ["3", "7", "100000"])
def test_days_that_are_all_the_same_have_no_sharpe_ratio(capital: str) -> None:
    """Also where a return, a third or a seventh, has no end in decimals."""
    said = of_days(days("1", "1", "1"), Decimal(capital))
    assert said.volatility == 0
    assert (said.sharpe, said.sortino, said.deepest) == (None, None, None)
    losing = of_days(days("-1", "-1", "-1"), Decimal(capital))
    assert (losing.sharpe, losing.sortino) == (None, Decimal("-15.874508"))


def test_of_no_days_nothing_is_known() -> None:
    said = of_days([], LAKH)
    assert said.sessions == said.net == said.total_return == 0
    assert {said.average_day, said.best_day, said.volatility, said.sharpe, said.sortino, said.deepest} == {None}


@pytest.mark.parametrize("wrong", [FIVE[::-1], FIVE[:1] * 2])
def test_days_out_of_order_or_twice_are_refused(wrong: list[Day]) -> None:
    with pytest.raises(BadInput, match="each day once"):
        of_days(wrong)


@pytest.mark.parametrize("capital", ["0", "-1", "NaN", "Infinity"])
def test_capital_that_is_none_is_refused(capital: str) -> None:
    with pytest.raises(BadInput, match="capital above 0"):
        equity_curve(FIVE, Decimal(capital))


def test_results_are_added_up_by_the_day_in_india() -> None:
    late, next_day = datetime(2026, 5, 4, 18, 29, tzinfo=UTC), datetime(2026, 5, 4, 18, 30, tzinfo=UTC)
    added = daily([(next_day, Decimal(5)), (late, Decimal(2)), (late, Decimal("-3.5"))], sessions=[day(2)])
    assert added == days("-1.5", "5", "0")
    with pytest.raises(BadInput, match="zone"):
        daily([(late.replace(tzinfo=None), Decimal(1))])


def test_the_calendar_is_by_month_and_day() -> None:
    found = calendar([Day(date(2026, 4, 30), Decimal(1)), Day(date(2026, 5, 4), Decimal(-2))])
    assert found == {"2026-04": {"2026-04-30": Decimal(1)}, "2026-05": {"2026-05-04": Decimal(-2)}}


@given(
    st.lists(nets, max_size=40), st.none() | st.decimals(1_000, 10_000_000, places=0), st.sampled_from(["0", "0.065"])
)
def test_figures_of_days_are_those_of_plain_statistics(
    results: list[Decimal], capital: Decimal | None, rate: str
) -> None:
    said = of_days(days(*results), capital, Decimal(rate))
    curve = equity_curve(days(*results), capital)
    assert [point.equity - (capital or 0) for point in curve] == [sum(results[: n + 1]) for n in range(len(results))]
    assert all(point.drawdown >= 0 for point in curve)
    assert max((point.drawdown for point in curve), default=0) == (said.deepest.amount if said.deepest else 0)
    if said.deepest:
        assert said.deepest.amount <= -sum(net for net in results if net < 0)
    if capital is None or len(results) < 2:
        assert {said.volatility, said.sharpe, said.sortino} == {None}
        return
    returns = [float(net / capital) - float(rate) / 252 for net in results]
    assert float(said.volatility or 0) == pytest.approx(statistics.stdev(returns) * math.sqrt(252), abs=1e-6)
    _agrees(said.sharpe, statistics.fmean(returns), statistics.stdev(returns))
    _agrees(said.sortino, statistics.fmean(returns), math.sqrt(statistics.fmean(min(r, 0) ** 2 for r in returns)))


def _agrees(said: Decimal | None, mean: float, deviation: float) -> None:
    if said is not None and deviation > 1e-9:  # below it, floats know nothing
        assert float(said) == pytest.approx(mean / deviation * math.sqrt(252), rel=1e-6, abs=1e-6)


def _ratios(said: Daily) -> tuple[Decimal | None, ...]:
    return said.total_return, said.volatility, said.sharpe, said.sortino


@given(st.lists(nets, min_size=2, max_size=20), st.integers(2, 1000))
def test_ratios_do_not_depend_on_the_size_of_the_account(results: list[Decimal], times: int) -> None:
    larger = of_days(days(*(net * times for net in results)), LAKH * times, Decimal("0.06"))
    assert _ratios(larger) == _ratios(of_days(days(*results), LAKH, Decimal("0.06")))


def test_a_histogram_by_hand() -> None:
    """Bins of 1,000 are 2 + 15; of 500 they would be 4 + 30, more than 20."""
    amounts = [Decimal(value) for value in ("-2000", "-1500.50", "0", "0", "10", "1000", "1000.01", "15000")]
    found = histogram(amounts)
    assert len(found) == 18
    assert found[:5] == [
        Bin("-2000 to -1000", Decimal(-2000), Decimal(-1000), 2, Decimal("-3500.50")),
        Bin("-1000 to 0", Decimal(-1000), Decimal(0), 0, Decimal(0)),
        Bin("0", Decimal(0), Decimal(0), 2, Decimal(0)),
        Bin("0 to 1000", Decimal(0), Decimal(1000), 2, Decimal(1010)),
        Bin("1000 to 2000", Decimal(1000), Decimal(2000), 1, Decimal("1000.01")),
    ]
    assert found[-1] == Bin("14000 to 15000", Decimal(14000), Decimal(15000), 1, Decimal(15000))
    assert histogram([]) == []
    assert [bar.name for bar in histogram([Decimal("0.01")])] == ["0 to 0.01"]


@pytest.mark.parametrize(("highest", "last"), [("20", "19 to 20"), ("39", "38 to 40"), ("41", "40 to 45")])
def test_a_bin_is_1_or_2_or_5_wide_or_ten_times_that(highest: str, last: str) -> None:
    assert histogram([Decimal(highest)])[-1].name == last


@given(st.lists(nets | st.just(Decimal(0)), min_size=1, max_size=40))
def test_each_amount_is_in_one_bin_and_no_bin_holds_wins_and_losses(amounts: list[Decimal]) -> None:
    found = histogram(amounts)
    assert sum(bar.count for bar in found) == len(amounts)
    assert sum(bar.total for bar in found) == sum(amounts)
    assert len([bar for bar in found if bar.name != "0"]) <= BINS_MAX
    assert len({bar.name for bar in found}) == len(found)
    assert all(before.high == after.low for before, after in pairwise(found))
    for bar in found:
        inside = [value for value in amounts if _is_in(value, bar)]
        assert (len(inside), sum(inside)) == (bar.count, bar.total)


def _is_in(value: Decimal, bar: Bin) -> bool:
    if bar.low == bar.high:
        return value == 0
    return bar.low < value <= bar.high if bar.high > 0 else bar.low <= value < bar.high
