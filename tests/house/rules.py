"""The rules for one file. Each gives its complaints as "line: what to do instead"."""

import ast
import re
from collections.abc import Callable, Iterator

from tests.house.source import Function, Source

Complaints = Iterator[str]
Rule = Callable[[Source], Complaints]

# style.md: where the praised houses have their long tails, the engine or its front door grew without limit.
MODULE_LINES_MAX = 350
TEST_MODULE_LINES_MAX = 600  # one subject's stories are read one by one
FUNCTION_LINES_MAX = 70
NESTING_MAX = 3
PARAMETERS_MAX = 8

VAGUE = re.compile(
    r"base|common|core|extras?|functions?|general|helpers?|lib|manager|misc|mixins?|shared|stuff|tools?|utils?"
)
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")  # in comments only: here the words are data
IGNORE = re.compile(r"#\s*(noqa|type:\s*ignore)")
ARGUED_IGNORE = re.compile(r"#\s*(noqa: [A-Z]+\d+(, ?[A-Z]+\d+)*|type: ignore\[[\w, -]+\])\s+(#|-)\s*\S.{8,}")
SQL = re.compile(
    r"^\s*(select\s.*\sfrom\s|insert\s+into\s|update\s+\w+\s+set\s|delete\s+from\s|truncate\s+\w|with\s+\w+\s+as\s*\("
    r"|(create|alter|drop)\s+(table|index|schema|view|database|role|extension|function)\s|copy\s+\w+.*\s(from|to)\s)",
    re.IGNORECASE | re.DOTALL,
)
LUA = re.compile(r"redis\.p?call\(")
MOCKS = ("unittest.mock", "mock", "pytest_mock", "fakeredis", "responses", "respx")
LOG_LEVELS = frozenset({"debug", "info", "warning", "error", "exception", "critical"})
INDIAN_SECONDS, INDIAN_HOURS = 19_800, "timedelta(hours=5,minutes=30)"
DRIVERS = {"redis": "events", "psycopg": "sql", "psycopg_pool": "sql", "kiteconnect": "producers"}
# What decides or repeats; a `with` only holds something open.
BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.Try, ast.Match)


def module_is_short(source: Source) -> Complaints:
    lines, most = source.text.count("\n"), TEST_MODULE_LINES_MAX if source.is_test else MODULE_LINES_MAX
    if lines > most:
        yield f"1: {lines} lines; find the second idea in it and give it a file (at most {most})"


def functions_are_short(source: Source) -> Complaints:
    for function in source.functions:
        lines = (function.end_lineno or function.lineno) - function.lineno + 1
        if lines > FUNCTION_LINES_MAX:
            yield f"{function.lineno}: {function.name} has {lines} lines; name its steps (at most {FUNCTION_LINES_MAX})"


def nesting_is_shallow(source: Source) -> Complaints:
    for function in source.functions:
        depth = _depth(function)
        if depth > NESTING_MAX:
            yield f"{function.lineno}: {function.name} nests {depth} deep; return early or name the inside"


def _depth(node: ast.AST) -> int:
    deepest = 0
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function | ast.ClassDef):
            continue
        # `elif` is an `if` inside the `else` only for the parser.
        chained = isinstance(node, ast.If) and isinstance(child, ast.If) and node.orelse == [child]
        deepest = max(deepest, _depth(child) + (isinstance(child, BLOCKS) and not chained))
    return deepest


def parameters_are_few(source: Source) -> Complaints:
    for function in source.functions:
        given = function.args
        count = len(given.posonlyargs) + len(given.args) + len(given.kwonlyargs)
        count -= bool(given.args) and given.args[0].arg in {"self", "cls"}
        if count > PARAMETERS_MAX:
            yield f"{function.lineno}: {function.name} takes {count}; group what belongs together in a Struct"


def module_has_a_docstring(source: Source) -> Complaints:
    if not ast.get_docstring(source.tree):
        yield "1: say in the first line what this file is for"


def public_names_have_docstrings(source: Source) -> Complaints:
    for node in source.public:
        if not ast.get_docstring(node) and not _is_trivial(node):
            yield f"{node.lineno}: say what {node.name} promises: shapes, units, errors"


def _is_trivial(node: ast.AST) -> bool:
    """An `__init__`-free exception or an overload's stub explains itself; a method of a protocol does not."""
    return isinstance(node, Function) and any(getattr(mark, "id", "") == "overload" for mark in node.decorator_list)


def names_say_something(source: Source) -> Complaints:
    word = source.module.rsplit(".", 1)[-1]
    if VAGUE.fullmatch(word):
        yield f"1: '{word}' says nothing; name the file after the one noun in it"


def nothing_is_left_for_later(source: Source) -> Complaints:
    for line, comment in source.comments:
        if UNFINISHED.search(comment):
            yield f"{line}: open an issue and take the note out"


def ignores_are_argued(source: Source) -> Complaints:
    for line, comment in source.comments:
        if IGNORE.search(comment) and not ARGUED_IGNORE.search(comment):
            yield f"{line}: name what is ignored and say why behind it: # noqa: X123  # the reason"


def no_sql_and_no_lua(source: Source) -> Complaints:
    for string in source.strings:
        if SQL.search(str(string.value)) or LUA.search(str(string.value)):
            yield f"{string.lineno}: move the statement to sql/statements or a .lua file and call it by name"


def drivers_stay_in_their_folders(source: Source) -> Complaints:
    for line, name in source.imports():
        folder = DRIVERS.get(name.split(".")[0])
        if folder and not source.path.startswith(f"{folder}/"):
            yield f"{line}: only {folder}/ imports {name.split('.')[0]}; ask it for what is needed"


def broad_excepts_log(source: Source) -> Complaints:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler) and _is_broad(node) and not _tells(node):
            yield f"{node.lineno}: catch the error that is meant; at a loop's edge log an event, or raise again"


def _is_broad(handler: ast.ExceptHandler) -> bool:
    kind = handler.type
    return kind is None or (isinstance(kind, ast.Name) and kind.id in {"Exception", "BaseException"})


def _tells(handler: ast.ExceptHandler) -> bool:
    inside = [node for statement in handler.body for node in ast.walk(statement)]
    logs = any(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LOG_LEVELS
        for node in inside
    )
    return logs or any(isinstance(node, ast.Raise) for node in inside)


def log_events_are_static(source: Source) -> Complaints:
    for call in source.calls:
        if _is_log(call.func) and not (call.args and _is_static(call.args[0])):
            yield f"{call.lineno}: give the event a fixed name and put the data into keywords"


def _is_log(func: ast.expr) -> bool:
    if not isinstance(func, ast.Attribute) or func.attr not in LOG_LEVELS:
        return False
    owner = func.value
    name = owner.attr if isinstance(owner, ast.Attribute) else owner.id if isinstance(owner, ast.Name) else ""
    return name.strip("_").endswith("log")


def _is_static(event: ast.expr) -> bool:
    if isinstance(event, ast.IfExp):
        return _is_static(event.body) and _is_static(event.orelse)
    # A name stands for a literal that was chosen a few lines above, or by the caller; what is put together is found.
    return isinstance(event, ast.Name) or (isinstance(event, ast.Constant) and isinstance(event.value, str))


def tests_do_not_mock(source: Source) -> Complaints:
    for line, name in source.imports():
        if name in MOCKS or name.startswith(tuple(f"{mock}." for mock in MOCKS)):
            yield f"{line}: start the real server, or use what ships: ManualClock, MemoryLog, the sandbox"
    for call in source.calls:
        if ast.unparse(call.func) == "monkeypatch.setattr" and not _makes_a_limit_small(call):
            yield f"{call.lineno}: pass what is to be replaced as an argument, so that it can be given"


def _makes_a_limit_small(call: ast.Call) -> bool:
    """Only a named limit may be set from outside, so that a test need not fill a gigabyte to meet it."""
    names = [arg.value for arg in call.args[:2] if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
    return bool(names) and names[0].rpartition(".")[2].isupper()


def tests_do_not_sleep(source: Source) -> Complaints:
    for call in source.calls:
        if ast.unparse(call.func) in {"time.sleep", "asyncio.sleep", "sleep"}:
            yield f"{call.lineno}: wait for what is meant: an event, a line of output, a file, a position"


def indian_time_is_said_once(source: Source) -> Complaints:
    if source.path == "runtime/calendar/__init__.py" or source.path.startswith("ops/verify/"):
        return  # verify shares no code with what it examines
    for node in ast.walk(source.tree):
        written = isinstance(node, ast.Constant) and node.value == INDIAN_SECONDS
        computed = isinstance(node, ast.Call) and re.sub(r"\s", "", ast.unparse(node)).endswith(INDIAN_HOURS)
        if isinstance(node, ast.expr) and (written or computed):
            yield f"{node.lineno}: take IST, IST_SECONDS or IST_NS from runtime.calendar"


EVERYWHERE: tuple[Rule, ...] = (
    module_is_short,
    functions_are_short,
    nesting_is_shallow,
    parameters_are_few,
    module_has_a_docstring,
    names_say_something,
    nothing_is_left_for_later,
    ignores_are_argued,
)
PACKAGES_ONLY: tuple[Rule, ...] = (
    public_names_have_docstrings,
    no_sql_and_no_lua,
    drivers_stay_in_their_folders,
    broad_excepts_log,
    log_events_are_static,
    indian_time_is_said_once,
)
TESTS_ONLY: tuple[Rule, ...] = (tests_do_not_mock, tests_do_not_sleep)
