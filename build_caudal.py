"""Builds the package: hatchling, and a C compiler for the part that is compiled; Zig's, from PyPI, where there is none.

The compiled part needs nothing of Python, so one wheel a platform serves every Python.
"""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling import build as hatchling
from hatchling.build import build_editable, build_sdist, build_wheel, get_requires_for_build_sdist
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

__all__ = ["build_editable", "build_sdist", "build_wheel", "get_requires_for_build_editable", "get_requires_for_build_sdist",
           "get_requires_for_build_wheel"]

FOLDER = Path("caudal/ingest/transform/compiled")
FLAGS = ("-std=c11", "-O3", "-shared", "-fPIC", "-Wall", "-Wextra")


def compiler() -> list[str]:
    """The command that compiles C."""
    found = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    return [found] if found else [sys.executable, "-m", "ziglang", "cc"]


def get_requires_for_build_wheel(config_settings: dict[str, Any] | None = None) -> list[str]:
    return [*hatchling.get_requires_for_build_wheel(config_settings), *([] if len(compiler()) == 1 else ["ziglang>=0.14"])]


def get_requires_for_build_editable(config_settings: dict[str, Any] | None = None) -> list[str]:
    return [*hatchling.get_requires_for_build_editable(config_settings), *([] if len(compiler()) == 1 else ["ziglang>=0.14"])]


class CompileHook(BuildHookInterface[Any]):
    """Compiles before the files are gathered."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        folder = Path(self.root) / FOLDER
        made = folder / "rows.new"
        subprocess.run([*compiler(), *FLAGS, "-o", str(made), str(folder / "rows.c")], check=True)
        made.replace(folder / "rows.so")  # whole, for who has the old one loaded
        build_data["artifacts"].append(str(FOLDER / "rows.so"))
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
