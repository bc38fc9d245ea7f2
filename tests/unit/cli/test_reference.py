"""Every command says how it is used."""

from pathlib import Path

import pytest
import typer

from caudal.cli.app import make_app

ROOT = Path(__file__).parents[3]


def verbs(group, path=()):
    for name, command in group.commands.items():
        yield from verbs(command, (*path, name)) if hasattr(command, "commands") else [(" ".join((*path, name)), command)]


VERBS = dict(verbs(typer.main.get_command(make_app())))


@pytest.mark.parametrize("name", VERBS)
def test_each_verb_shows_an_example_and_explains_each_word(name):
    verb = VERBS[name]
    example = verb.help.partition("Example: ")[2]
    assert example.startswith(f"caudal {name}")
    assert all(parameter.help for parameter in verb.params if parameter.name != "help")


def test_every_verb_of_the_readme_exists():
    words = [line.split()[2] for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("$ caudal ")]
    assert words and {name.split()[0] for name in VERBS} >= set(words)
