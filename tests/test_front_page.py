"""What the pages promise: links lead somewhere, commands parse, the first example gives what it says."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path

import click
import pytest

from allgrad.server.cli.entry import allgrad

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/*.md")])


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """Every line of a shell block that begins with ``allgrad VERB``, without its comment."""
    lines = [line for page in PAGES for block in blocks(page, "sh") for line in block.splitlines()]
    return [line for line in lines if re.match(r"allgrad [a-z]", line)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text("utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("line", commands())
def test_every_command_on_a_page_is_one_that_the_command_line_takes(line: str) -> None:
    _, verb, *arguments = shlex.split(line, comments=True)
    command = allgrad.commands[verb]
    context = click.Context(command, **command.context_settings)
    command.make_parser(context).parse_args(arguments)


def test_there_are_commands_to_check() -> None:
    assert len(commands()) > 5


def test_the_first_example_of_the_readme_prints_what_it_says() -> None:
    example = blocks(ROOT / "README.md", "python")[0]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(example, "README.md", "exec"), {})
    said = re.findall(r"^print\(.*\)\s+# (.*)$", example, re.MULTILINE)
    assert said
    assert printed.getvalue().splitlines() == said


def test_every_verb_stands_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert [verb for verb in allgrad.commands if f"allgrad {verb}" not in text] == []
