"""The sources of Bahi, read once, with the few questions that the rules of style ask of them."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("api", "events", "money", "ops", "producers", "projectors", "runtime", "sql")

Function = ast.FunctionDef | ast.AsyncFunctionDef
Named = ast.ClassDef | Function


class Source:
    """One Python file: its path from the root, its text, its tree."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        self.tree = ast.parse(text, path)

    def __repr__(self) -> str:
        return self.path

    @property
    def module(self) -> str:
        """Give the dotted name to import it by."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def is_test(self) -> bool:
        return self.path.startswith("tests/")

    @cached_property
    def functions(self) -> list[Function]:
        return [node for node in ast.walk(self.tree) if isinstance(node, Function)]

    @cached_property
    def calls(self) -> list[ast.Call]:
        return [node for node in ast.walk(self.tree) if isinstance(node, ast.Call)]

    @cached_property
    def public(self) -> list[Named]:
        """Give the classes, functions and methods that others may use; overrides and magic methods apart."""
        return list(_public(self.tree))

    @cached_property
    def strings(self) -> list[ast.Constant]:
        """Give the string literals that are not docstrings."""
        docs = {id(node.value) for node in ast.walk(self.tree) if isinstance(node, ast.Expr)}
        constants = (node for node in ast.walk(self.tree) if isinstance(node, ast.Constant))
        return [node for node in constants if isinstance(node.value, str) and id(node) not in docs]

    @cached_property
    def composed(self) -> list[re.Pattern[str]]:
        """Give the f-strings that begin with text, as patterns of what they may become."""
        strings = (node.values for node in ast.walk(self.tree) if isinstance(node, ast.JoinedStr))
        return [re.compile("".join(map(_pattern, parts))) for parts in strings if isinstance(parts[0], ast.Constant)]

    @cached_property
    def comments(self) -> list[tuple[int, str]]:
        """Give line and text of each comment."""
        tokens = tokenize.generate_tokens(io.StringIO(self.text).readline)
        return [(token.start[0], token.string) for token in tokens if token.type == tokenize.COMMENT]

    def imports(self, *, at_import_only: bool = False) -> Iterator[tuple[int, str]]:
        """Give line and dotted name of each thing imported: a module, or a module's name."""
        for node in self._importing(at_import_only):
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)

    def _importing(self, at_import_only: bool) -> Iterator[ast.AST]:
        waiting: list[ast.AST] = [self.tree]
        while waiting:
            node = waiting.pop()
            if at_import_only and (isinstance(node, Function) or _for_types_only(node)):
                continue
            yield node
            waiting.extend(ast.iter_child_nodes(node))


def _for_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _pattern(part: ast.expr) -> str:
    return re.escape(str(part.value)) if isinstance(part, ast.Constant) else r"\w+"


def _public(node: ast.AST) -> Iterator[Named]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, Named) or child.name.startswith("_"):
            continue
        if not any(isinstance(mark, ast.Name) and mark.id == "override" for mark in child.decorator_list):
            yield child
        if isinstance(child, ast.ClassDef):
            yield from _public(child)


def read(*folders: str) -> list[Source]:
    """Read every Python file below the folders of the root."""
    paths = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return [Source(path.relative_to(ROOT).as_posix(), path.read_text("utf-8")) for path in paths]
