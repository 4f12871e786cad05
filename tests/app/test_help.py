"""``mailplatctl --help`` teaches: every command and every option says what it is for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import click
import pytest
from click.testing import CliRunner

from mailplat.app.ctl.main import main


def walk(
    command: click.Command, words: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Give every command with the words that call it."""
    yield words, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from walk(below, (*words, name))


COMMANDS = list(walk(main, ()))


@pytest.mark.parametrize(
    ("words", "command"), COMMANDS, ids=lambda one: " ".join(one) if isinstance(one, tuple) else ""
)
def test_help(words: tuple[str, ...], command: click.Command) -> None:
    """A command has a text, and each of its options too; asking for help works."""
    assert command.help, words
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{' '.join(words)} {parameter.name}"
    shown = CliRunner().invoke(main, [*words, "--help"])
    assert shown.exit_code == 0
    assert "Usage:" in shown.output


@pytest.mark.parametrize("name", list(cast(click.Group, main).list_commands(click.Context(main))))
def test_examples(name: str) -> None:
    """Each first word shows how it is used, itself or in a command below it."""
    texts = [command.help or "" for words, command in COMMANDS if words[:1] == (name,)]
    assert any(f"mailplatctl {name}" in text for text in texts)
