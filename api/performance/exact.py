"""Decimal arithmetic of performance figures: one context for all, and what is rounded to which place for showing."""

from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, InvalidOperation, Overflow

ZERO = Decimal(0)
PAISA = Decimal("0.01")
RATIO_STEP = Decimal("0.000001")  # no figure here is known better: a month has some twenty daily returns
# Digits: an amount below 1e15 with eight decimals has 23, and its square 46. Times 252 squared and a million days
# squared these are 64; with some to spare, sums of squares are exact.
CONTEXT = Context(prec=80, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow])


def amount(value: Decimal) -> Decimal:
    """Round an amount to the paisa, half to even."""
    return CONTEXT.quantize(value, PAISA)


def ratio(value: Decimal) -> Decimal:
    """Round a ratio to RATIO_STEP, half to even."""
    return CONTEXT.quantize(value, RATIO_STEP)


def part(of: Decimal, whole: Decimal | int) -> Decimal | None:
    """Give a ratio, None where there is nothing to divide by."""
    return ratio(CONTEXT.divide(of, Decimal(whole))) if whole else None
