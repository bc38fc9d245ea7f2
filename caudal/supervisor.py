"""Runs the parts of a pipeline as processes, and starts again whichever dies."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from caudal.config import Config

PARTS = ("writer", "endpoint", "trainer", "maintainer")
PUBLISHER = "publisher"
"""The part that a pipeline with Iceberg tables has besides."""

GATEWAY = "gateway"
"""The part that `caudal up --aws` runs besides."""

MODULES = {GATEWAY: "caudal.gateway"}
"""Part to the module that runs it, where that is not `caudal.parts`."""

RESTART_SECONDS = (0.2, 10.0)
"""Least and longest wait before a part that died is started again."""

STEADY_SECONDS = 10.0
"""A part that ran this long starts again at once."""

STOP_SECONDS = 15.0
"""How long parts have to end by themselves."""


@dataclass
class Part:
    """One process."""

    name: str
    process: "subprocess.Popen[bytes]"
    started: float
    starts: int = 1
    wait: float = RESTART_SECONDS[0]
    again_at: float = 0.0


@dataclass
class Supervisor:
    """Starts the parts on `start`, keeps them running while `watch` is called, ends them on `stop`."""

    pipeline: Path
    names: tuple[str, ...] = PARTS
    tell: Callable[[str], None] = lambda line: None
    parts: dict[str, Part] = field(default_factory=dict)

    def start(self) -> None:
        """Start every part."""
        for name in self.names:
            self.parts[name] = Part(name, self._spawn(name), time.monotonic())

    def watch(self) -> None:
        """Look once: start again what has died."""
        now = time.monotonic()
        for part in self.parts.values():
            code = part.process.poll()
            if code is None:
                continue
            if not part.again_at:
                if now - part.started > STEADY_SECONDS:
                    part.wait = RESTART_SECONDS[0]
                part.again_at = now + part.wait
                part.wait = min(part.wait * 2, RESTART_SECONDS[1])
                self.tell(f"{part.name} ended with {code}; starting it again")
            elif now >= part.again_at:
                part.process, part.started, part.again_at = self._spawn(part.name), now, 0.0
                part.starts += 1

    def stop(self) -> None:
        """End every part, kindly and then not."""
        for part in self.parts.values():
            if part.process.poll() is None:
                part.process.terminate()
        until = time.monotonic() + STOP_SECONDS
        for part in self.parts.values():
            try:
                part.process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                part.process.kill()
                part.process.wait()
            if part.process.stdin is not None:
                part.process.stdin.close()

    def _spawn(self, name: str) -> "subprocess.Popen[bytes]":
        # Its standard input ends when this process does, however it does: no orphans.
        return subprocess.Popen(
            [sys.executable, "-m", MODULES.get(name, "caudal.parts"), name, str(self.pipeline.resolve())],
            stdin=subprocess.PIPE, start_new_session=True,
        )


class _Errors(msgspec.Struct):
    message: str
    hint: str
    time: float


def write_error(config: Config, part: str, error: Any) -> None:
    """Keep a part's last error where `caudal status` finds it; None clears it. A disk that takes nothing stops no part."""
    with suppress(OSError):
        _write_error(config, part, error)


def _write_error(config: Config, part: str, error: Any) -> None:
    path = _errors_folder(config) / f"{part.replace(' ', '-')}.json"
    if error is None:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    half = path.with_suffix(f".{os.getpid()}")
    half.write_bytes(msgspec.json.encode(_Errors(str(error), getattr(error, "hint", ""), time.time())))
    half.replace(path)


def read_errors(config: Config) -> dict[str, str]:
    """Part to its last error that still stands."""
    found = {}
    for path in sorted(_errors_folder(config).glob("*.json")):
        kept = msgspec.json.decode(path.read_bytes(), type=_Errors)
        found[path.stem.replace("-", " ", 1)] = kept.message + (f" ({kept.hint})" if kept.hint else "")
    return found


def _errors_folder(config: Config) -> Path:
    return Path(config.folder) / "errors"
