"""What the pages say is what the code does: settings, metrics, commands, make targets, links, files."""

import ast
import re
from pathlib import Path

import pytest
import rich_click as click

from ops import cli
from runtime.metrics import CATALOGUE
from runtime.settings import SETTINGS, Setting
from tests.house.source import PACKAGES, ROOT, read

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("ops/decisions/*.md")])
COMMANDS = cli.root.list_commands(click.Context(cli.root))


def _row(setting: Setting) -> str:
    default = f"`{setting.default}`" if setting.default else ""
    return f"| `{setting.name}` | {default} | {setting.wanted} | {setting.meaning} |"


def test_the_page_of_settings_has_every_setting_as_the_code_has_it() -> None:
    rows = {line for line in (ROOT / "docs/settings.md").read_text("utf-8").splitlines() if line.startswith("| `")}
    assert rows == {_row(setting) for setting in SETTINGS}


def test_a_setting_that_nothing_reads_is_said_to_have_no_effect() -> None:
    read_somewhere = {
        node.attr
        for source in read(*PACKAGES)
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Attribute) and source.path != "runtime/settings.py"
    }
    said = (ROOT / "docs/settings.md").read_text("utf-8").partition("## Not yet in effect")[2]
    without_effect = {setting.name for setting in SETTINGS if setting.field not in read_somewhere}
    assert set(re.findall(r"`([A-Z_]+)`", said)) == without_effect


def test_the_example_file_names_every_setting_and_sets_none() -> None:
    text = (ROOT / ".env.example").read_text("utf-8")
    assert set(re.findall(r"^#([A-Z][A-Z0-9_]+)=", text, re.MULTILINE)) == {setting.name for setting in SETTINGS}
    assert not re.findall(r"^[A-Z]", text, re.MULTILINE)


def test_the_page_of_metrics_is_the_catalogue() -> None:
    rows = {line for line in (ROOT / "docs/metrics.md").read_text("utf-8").splitlines() if line.startswith("| `")}
    assert rows == {f"| `{m.name}` | {m.kind} | {', '.join(m.labels)} | {m.meaning} |" for m in CATALOGUE.values()}


def test_the_page_of_commands_has_a_section_for_each_and_for_no_other() -> None:
    assert re.findall(r"^## `bahi ([\w-]+)", (ROOT / "docs/commands.md").read_text("utf-8"), re.MULTILINE) == COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_each_option_and_subcommand_is_explained(name: str) -> None:
    sections = re.split(r"^## `bahi ([\w-]+)", (ROOT / "docs/commands.md").read_text("utf-8"), flags=re.MULTILINE)
    section = sections[sections.index(name) + 1]
    for word in _words(cli.root.get_command(click.Context(cli.root), name)):
        assert word in section, f"wanted {word} in the section of bahi {name} in docs/commands.md"


def _words(command: click.Command | None) -> list[str]:
    assert command is not None
    words = [option for parameter in command.params for option in parameter.opts if option.startswith("--")]
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            words += [name, *_words(inner)]
    return words


def test_every_command_that_a_page_shows_exists() -> None:
    for page in PAGES:
        for name in re.findall(r"\bbahi ([a-z]+)\b", "\n".join(_code(page))):
            assert name in COMMANDS, f"{page.relative_to(ROOT)} shows bahi {name}"


def test_every_make_target_that_a_page_shows_exists_and_every_one_is_shown() -> None:
    targets = set(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    shown = {name for page in PAGES for name in re.findall(r"\bmake ([a-z]+)\b", "\n".join(_code(page)))}
    assert shown == targets


def test_the_stack_pins_its_images_and_sets_only_what_exists() -> None:
    text = (ROOT / "docker-compose.yml").read_text("utf-8")
    images = re.findall(r"^    image: (\S+)$", text, re.MULTILINE)
    assert len(images) == 4
    assert all(re.search(r":v?\d+\.\d+\.\d+(-\S+)?$", image) for image in images), images
    app = text.partition("  app:\n")[2].partition("  grafana:\n")[0]
    assert set(re.findall(r"^      ([A-Z_]+):", app, re.MULTILINE)) <= {setting.name for setting in SETTINGS}
    assert all(port.startswith("127.0.0.1:") for port in re.findall(r'ports: \["([^"]+)', text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_and_every_file_named_is_there(page: Path) -> None:
    text = page.read_text("utf-8")
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
    packages = "api|docs|events|money|ops|producers|projectors|runtime|sql|tests"
    for named in re.findall(rf"`((?:{packages})/[\w./-]*\w)`", text):
        assert (ROOT / named).exists(), f"{page.name} names {named}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_has_one_title(page: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    assert len(re.findall(r"^# \S", prose, re.MULTILINE)) == 1


def test_every_page_is_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached and page.suffix == ".md":
            reached.add(page)
            targets = re.findall(r"\]\(([^)#]+?\.md)(?:#[^)]*)?\)", page.read_text("utf-8"))
            waiting += [(page.parent / target).resolve() for target in targets if "://" not in target]
    assert set(PAGES) <= reached, f"no way leads to {sorted(page.name for page in set(PAGES) - reached)}"


def _code(page: Path) -> list[str]:
    """Give what a page shows as code: fenced blocks and `inline` pieces."""
    text = page.read_text("utf-8")
    fenced = re.findall(r"^```[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return fenced + re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
