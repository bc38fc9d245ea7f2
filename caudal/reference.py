"""The reference of all settings, generated from `caudal.config`: `python -m caudal.reference > docs/configuration.md`."""

import ast
import inspect
from collections.abc import Iterator

from caudal import config
from caudal.config import SECTIONS, Config

HEAD = """# Configuration

`caudal.toml` beside the pipeline file, one section a stage; everything has a default, and an unknown key is an error. The
environment wins: `CAUDAL_WRITER_LEASE_SECONDS=30` sets `lease_seconds` of `[writer]`. This page is generated from
`caudal/config.py`.
"""


def configuration() -> str:
    """The page, as Markdown."""
    texts = dict(_texts())
    lines = [HEAD, "| setting | default | meaning |", "|---|---|---|", _row("folder", Config().folder, texts["Config", "folder"])]
    for section in SECTIONS:
        values = getattr(Config(), section)
        for name in type(values).__struct_fields__:
            lines.append(_row(f"[{section}] {name}", getattr(values, name), texts[type(values).__name__, name]))
    return "\n".join(lines) + "\n"


def _row(name: str, default: object, text: str) -> str:
    shown = str(default).lower() if isinstance(default, bool) else default
    return f"| `{name}` | `{shown}` | {' '.join(text.split())} |"


def _texts() -> Iterator[tuple[tuple[str, str], str]]:
    """(class, setting) and the text below it in the source."""
    for node in ast.parse(inspect.getsource(config)).body:
        if isinstance(node, ast.ClassDef):
            for field, text in zip(node.body, node.body[1:], strict=False):
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
                    yield (node.name, field.target.id), ast.literal_eval(text.value)


if __name__ == "__main__":
    print(configuration(), end="")
