"""Every snippet and command of README and docs is run as it is written."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page, language):
    return [text for found, text in BLOCK.findall(page.read_text()) if found == language]


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")], ids=lambda p: p.name)
def test_the_python_of_a_page_runs_from_top_to_bottom(page, tmp_path):
    script = tmp_path / "snippets.py"
    script.write_text("\n".join(blocks(page, "python")))
    done = subprocess.run([sys.executable, "-W", "error", script.name], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "console")], ids=lambda p: p.name)
def test_the_commands_of_a_page_run_from_top_to_bottom(page, tmp_path):
    lines = [line[2:] for text in blocks(page, "console") for line in text.splitlines() if line.startswith("$ ")]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(["bash", "-e"], input="\n".join(lines), cwd=tmp_path, env={**os.environ, "PATH": path},
                          capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_readme_names_targets_that_exist():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {line.split()[1] for text in blocks(ROOT / "README.md", "sh") for line in text.splitlines() if line.startswith("make ")}
    assert named and named <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_inside_the_repository_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_reference_of_settings_is_as_the_code_says():
    from caudal.reference import configuration

    assert (ROOT / "docs" / "configuration.md").read_text() == configuration(), "python -m caudal.reference > docs/configuration.md"


def test_the_reference_of_aws_is_as_the_code_says():
    from caudal.gateway.reference import reference

    assert (ROOT / "docs" / "aws.md").read_text() == reference(), "python -m caudal.gateway.reference > docs/aws.md"


def test_the_reference_of_commands_is_as_the_code_says():
    from caudal.cli.reference import reference

    assert (ROOT / "docs" / "cli.md").read_text() == reference(), "python -m caudal.cli.reference > docs/cli.md"
