"""The rules that need the whole house: cycles, dead files, unused statements and metrics, budgets of exceptions."""

import re
from collections.abc import Callable, Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from itertools import chain

from runtime.metrics import CATALOGUE
from tests.house.source import ROOT, Source

Rule = Callable[[list[Source]], Iterator[str]]

# Bahi's aims in the table of praised houses, per 1,000 lines of code: each exception costs the reader a thought.
ANY_PER_1000 = 4.0
TYPE_IGNORES_PER_1000 = 0.5
BROAD_EXCEPTS_PER_1000 = 0.9
# What is reached from outside: the console script, the commands that it finds by their file, a child's program, and
# the log in memory, which ships for tests.
REACHED_BY_NAME = re.compile(r"ops\.(cli|commands\.\w+|.*__main__)|events\.memory_log")
METRICS = ("runtime/metrics.py", "runtime/account_metrics.py")
STATEMENT = re.compile(r"^-- ([a-z][a-z0-9_]*): \S", re.MULTILINE)


def imports_make_no_cycle(sources: list[Source]) -> Iterator[str]:
    """Modules import each other in one direction only."""
    graph = {source.module: set(_imported(source, sources, at_import_only=True)) for source in sources}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        yield f"{' -> '.join(error.args[1])}: move what both need below both"


def every_module_is_used(sources: list[Source]) -> Iterator[str]:
    """No file is dead."""
    used = set(chain.from_iterable(_imported(source, sources) for source in sources))
    for source in sources:
        package = source.path.endswith("__init__.py")
        if source.module not in used and not package and not REACHED_BY_NAME.fullmatch(source.module):
            yield f"{source.path}: nobody imports it; take it out"


def _imported(source: Source, sources: Iterable[Source], *, at_import_only: bool = False) -> Iterator[str]:
    known = {other.module for other in sources}
    for _line, name in source.imports(at_import_only=at_import_only):
        # A module itself, or else the module that the name was taken from.
        found = name if name in known else name.rpartition(".")[0]
        if found in known and found != source.module:
            yield found


def every_statement_is_used(sources: list[Source]) -> Iterator[str]:
    """Each SQL statement is asked for by its name somewhere, and each Lua script is loaded."""
    said = {str(string.value) for source in sources for string in source.strings}
    composed = [pattern for source in sources for pattern in source.composed]
    for file in sorted((ROOT / "sql" / "statements").rglob("*.sql")):
        for name in STATEMENT.findall(file.read_text("utf-8")):
            if name not in said and not any(pattern.fullmatch(name) for pattern in composed):
                yield f"{file.relative_to(ROOT)}: {name} is never asked for; take it out"
    for script in sorted(ROOT.glob("*/*.lua")):
        if not said & {script.name, script.stem}:
            yield f"{script.relative_to(ROOT)}: never loaded; take it out"


def every_metric_is_set(sources: list[Source]) -> Iterator[str]:
    """The catalogue holds what is measured and nothing else."""
    catalogue = [source for source in sources if source.path in METRICS]
    text = "\n".join(source.text for source in catalogue)
    declared = re.findall(r"^([A-Z_]+) = (?:counter|gauge|histogram)\(\s*\"(\w+)\"", text, re.MULTILINE)
    assert {name for _, name in declared} == set(CATALOGUE), f"every metric is declared in {' or '.join(METRICS)}"
    for constant, name in declared:
        if not any(constant in source.text for source in sources if source not in catalogue):
            yield f"{name} is declared and never set; set it or take it out"


def dashboards_use_the_catalogue(_sources: list[Source]) -> Iterator[str]:
    """Dashboards and alarms name only metrics that exist."""
    for file in sorted(chain(ROOT.glob("ops/grafana/**/*.json"), ROOT.glob("ops/prometheus/**/*.y*ml"))):
        for name in sorted(set(re.findall(r"\b(?:bahi|trade_sync|trade_data)_\w+", file.read_text("utf-8")))):
            if name not in CATALOGUE and re.sub(r"_(bucket|sum|count)$", "", name) not in CATALOGUE:
                yield f"{file.relative_to(ROOT)}: {name} is not in runtime/metrics.py"


def exceptions_stay_within_their_budget(sources: list[Source]) -> Iterator[str]:
    """`Any`, ignored types and broad excepts are few."""
    text = "\n".join(source.text for source in sources)
    lines = sum(1 for line in text.splitlines() if line.strip() and not line.strip().startswith("#"))
    counts = {
        "Any": (len(re.findall(r"\bAny\b(?!\])(?! *$)", text)), ANY_PER_1000),
        "type: ignore": (len(re.findall(r"# type: ignore", text)), TYPE_IGNORES_PER_1000),
        "except Exception": (len(re.findall(r"except (Base)?Exception\b", text)), BROAD_EXCEPTS_PER_1000),
    }
    for what, (count, budget) in counts.items():
        if count * 1000 > budget * lines:
            yield f"{what}: {count} in {lines} lines; the budget is {budget} in 1,000"


RULES: tuple[Rule, ...] = (
    imports_make_no_cycle,
    every_module_is_used,
    every_statement_is_used,
    every_metric_is_set,
    dashboards_use_the_catalogue,
    exceptions_stay_within_their_budget,
)
