"""As much of PromQL as the alert rules use, over one scrape and the one before: parsed by a real parser.

A vector is a dictionary from labels (sorted pairs, without the metric's name) to values. What is not known here fails,
so that no rule goes untried.
"""

import operator
import re
from collections.abc import Callable, Iterable
from typing import TypeAlias

import promql_parser as ast
from prometheus_client.parser import text_string_to_metric_families

Labels: TypeAlias = tuple[tuple[str, str], ...]
Vector: TypeAlias = dict[Labels, float]
Number: TypeAlias = Callable[[float, float], float]

COMPARED: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
COUNTED: dict[str, Number] = {"-": operator.sub, "+": operator.add, "*": operator.mul, "/": operator.truediv}
SUMMED: dict[str, Callable[[list[float]], float]] = {"max": max, "min": min, "sum": sum}


class Scrape:
    """What Prometheus has read at one time. seconds: the time, in the epoch of Unix."""

    def __init__(self, text: str, seconds: float, *, is_up: bool = True) -> None:
        self.seconds = seconds
        self._vectors: dict[str, Vector] = {"up": {(("job", "bahi"),): float(is_up)}}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                self._vectors.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value

    def select(self, selector: ast.VectorSelector) -> Vector:
        """Give the samples that a selector names."""
        found = self._vectors.get(selector.name or "", {})
        return {labels: value for labels, value in found.items() if _fits(dict(labels), selector.matchers.matchers)}


def names(expression: str) -> set[str]:
    """Give the metrics that an expression asks for."""
    found: set[str] = set()

    def visit(node: ast.Expr) -> None:
        if isinstance(node, ast.VectorSelector):
            found.add(node.name or "")
        if isinstance(node, ast.MatrixSelector):
            found.add(node.vector_selector.name or "")

    ast.walk(ast.parse(expression), visit)
    return found


def fires(expression: str, now: Scrape, before: Scrape) -> Vector:
    """Give the samples for which an alert would fire."""
    answer = _value(ast.parse(expression), now, before)
    assert isinstance(answer, dict), "an alert's expression is a vector"
    return answer


def _fits(labels: dict[str, str], matchers: Iterable[ast.Matcher]) -> bool:
    tries: dict[str, Callable[[str, str], bool]] = {
        str(ast.MatchOp.Equal): operator.eq,
        str(ast.MatchOp.NotEqual): operator.ne,
        str(ast.MatchOp.Re): lambda value, pattern: re.fullmatch(pattern, value) is not None,
        str(ast.MatchOp.NotRe): lambda value, pattern: re.fullmatch(pattern, value) is None,
    }
    return all(tries[str(each.op)](labels.get(each.name, ""), each.value) for each in matchers)


def _value(node: ast.Expr, now: Scrape, before: Scrape) -> Vector | float:
    if isinstance(node, ast.ParenExpr):
        return _value(node.expr, now, before)
    if isinstance(node, ast.NumberLiteral):
        return node.val
    if isinstance(node, ast.VectorSelector):
        return now.select(node)
    if isinstance(node, ast.Call):
        return _call(node, now, before)
    if isinstance(node, ast.AggregateExpr):
        return _sum_up(node, now, before)
    assert isinstance(node, ast.BinaryExpr), f"{node} is not known here"
    return _join(node, _value(node.lhs, now, before), _value(node.rhs, now, before))


def _call(node: ast.Call, now: Scrape, before: Scrape) -> Vector | float:
    name = node.func.name
    if name == "time":
        return now.seconds
    (argument,) = node.args
    if name == "absent":
        return {} if _value(argument, now, before) else {(): 1.0}
    assert name == "increase", f"{name} is not known here"
    grown, stood = now.select(argument.vector_selector), before.select(argument.vector_selector)
    return {labels: value - stood[labels] for labels, value in grown.items() if labels in stood}


def _sum_up(node: ast.AggregateExpr, now: Scrape, before: Scrape) -> Vector:
    vector = _value(node.expr, now, before)
    assert isinstance(vector, dict)
    by = set(node.modifier.labels) if node.modifier else set()
    groups: dict[Labels, list[float]] = {}
    for labels, value in vector.items():
        groups.setdefault(tuple(pair for pair in labels if pair[0] in by), []).append(value)
    return {labels: SUMMED[str(node.op)](values) for labels, values in groups.items()}


def _join(node: ast.BinaryExpr, left: Vector | float, right: Vector | float) -> Vector | float:
    sign = str(node.op)
    if sign == "and":
        assert isinstance(left, dict)
        assert isinstance(right, dict)
        matching = node.modifier.matching if node.modifier else None
        assert matching is not None, "`and` without `on` is not known here"
        assert matching.labels == [], "only `on ()` is known here"
        return left if right else {}
    if isinstance(left, dict) and isinstance(right, dict):
        return {key: _one(sign, value, right[key]) for key, value in left.items() if _holds(key, sign, value, right)}
    if isinstance(left, dict):
        assert isinstance(right, float)
        return {key: _one(sign, each, right) for key, each in left.items() if _passes(sign, each, right)}
    if isinstance(right, dict):
        return {key: _one(sign, left, each) for key, each in right.items() if _passes(sign, left, each)}
    return COUNTED[sign](left, right)


def _holds(key: Labels, sign: str, value: float, right: Vector) -> bool:
    return key in right and _passes(sign, value, right[key])


def _passes(sign: str, left: float, right: float) -> bool:
    return sign in COUNTED or COMPARED[sign](left, right)


def _one(sign: str, left: float, right: float) -> float:
    return COUNTED[sign](left, right) if sign in COUNTED else left
