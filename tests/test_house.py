"""Style is a test: what the house forbids, with what to do instead; and each rule shown to catch its own violation."""

from collections.abc import Iterable

import pytest

from tests.house import rules, whole
from tests.house.rules import Rule
from tests.house.source import PACKAGES, Source, read

OURS = read(*PACKAGES)
TESTS = read("tests")


def _keep(rule: Rule, sources: list[Source]) -> None:
    _none(f"{source.path}:{complaint}" for source in sources for complaint in rule(source))


def _none(complaints: Iterable[str]) -> None:
    found = list(complaints)
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize("rule", rules.EVERYWHERE + rules.PACKAGES_ONLY, ids=lambda rule: rule.__name__)
def test_in_the_packages(rule: Rule) -> None:
    _keep(rule, OURS)


@pytest.mark.parametrize("rule", rules.EVERYWHERE + rules.TESTS_ONLY, ids=lambda rule: rule.__name__)
def test_in_the_tests(rule: Rule) -> None:
    _keep(rule, TESTS)


@pytest.mark.parametrize("rule", whole.RULES, ids=lambda rule: rule.__name__)
def test_in_the_whole_house(rule: whole.Rule) -> None:
    _none(rule(OURS))


DEEP = "def f():\n" + "".join(f"{'  ' * i}if x:\n" for i in range(1, 5)) + "          pass\n"
CHAINED = "def f():\n  if a:\n    pass\n  elif b:\n    pass\n  elif c:\n    pass\n  elif d:\n    pass\n"
CAUGHT: list[tuple[Rule, str, str]] = [
    (rules.module_is_short, "\n" * 351, "\n" * 350),
    (rules.functions_are_short, "def f():\n" + "  x\n" * 70, "def f():\n" + "  x\n" * 69),
    (rules.nesting_is_shallow, DEEP, CHAINED),
    (rules.parameters_are_few, "def f(a,b,c,d,e,f,g,h,*,i): ...", "def f(self,a,b,c,d,e,f,g,h): ..."),
    (rules.module_has_a_docstring, "x = 1", "'''What it is.'''"),
    (rules.public_names_have_docstrings, "class A:\n  def b(self): ...", "def _a(): ..."),
    (rules.nothing_is_left_for_later, "# " + "TODO" + ": later", "todo = 'TODO'"),
    (rules.ignores_are_argued, "x = 1  # " + "noqa", "x = 1  # " + "noqa: S101  # a test's assert says what is wanted"),
    (rules.ignores_are_argued, "x = 1  # " + "type: ignore", "x = 1  # " + "type: ignore[x]  # the library has none"),
    (rules.no_sql_and_no_lua, "x = 'SELECT a FROM b'", "'''Select a row from the table.'''"),
    (rules.no_sql_and_no_lua, "x = 'return redis.call(1)'", "x = statements['move_checkpoint']"),
    (rules.drivers_stay_in_their_folders, "from redis.asyncio import Redis", "from events.redis_log import RedisLog"),
    (rules.broad_excepts_log, "try: ...\nexcept Exception: pass", "try: ...\nexcept OSError: pass"),
    (rules.broad_excepts_log, "try: ...\nexcept: x = 1", "try: ...\nexcept Exception: log.exception('a.b')"),
    (rules.log_events_are_static, "_log.info(f'lost {n}')", "self._log.info('a' if up else 'b', n=n)"),
    (rules.indian_time_is_said_once, "IST_NS = 19_800 * 10**9", "from runtime.calendar import IST_NS"),
    (rules.indian_time_is_said_once, "IST = timezone(timedelta(hours=5, minutes=30))", "timedelta(minutes=30)"),
    (rules.tests_do_not_mock, "from unittest import mock\nimport unittest.mock", "import unittest"),
    (rules.tests_do_not_mock, "monkeypatch.setattr(a, 'b', 1)", "monkeypatch.setenv('A', '1')"),
    (rules.tests_do_not_mock, "monkeypatch.setattr('a.b', 1)", "monkeypatch.setattr(a, 'BYTES_MAX', 1)"),
    (rules.tests_do_not_sleep, "await asyncio.sleep(0)", "await stop.wait()"),
]


@pytest.mark.parametrize(("rule", "bad", "good"), CAUGHT, ids=lambda value: getattr(value, "__name__", ""))
def test_a_rule_catches_its_violation_and_nothing_else(rule: Rule, bad: str, good: str) -> None:
    assert list(rule(Source("api/x.py", bad)))
    assert not list(rule(Source("api/x.py", good)))


def test_vague_names_are_caught_and_telling_ones_are_not() -> None:
    assert list(rules.names_say_something(Source("api/utils.py", "")))
    assert not list(rules.names_say_something(Source("api/prices.py", "")))


def test_cycles_and_dead_files_are_caught() -> None:
    one, two = Source("api/one.py", "import api.two"), Source("api/two.py", "from api import one")
    assert list(whole.imports_make_no_cycle([one, two]))
    assert not list(whole.imports_make_no_cycle([one, Source("api/two.py", "def f():\n  from api import one")]))
    assert list(whole.every_module_is_used([Source("api/lonely.py", "")]))
    assert not list(whole.every_module_is_used([one, two]))
