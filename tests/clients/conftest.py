"""An AWS endpoint in a process, and clients of it, each installed in an environment of its own.

The environments lie in `.clients`, and are made when a test first needs one: seconds each, so the gate makes them too.
"""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.gateway.conftest import endpoint

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / ".clients"
INSTALL_SECONDS, RUN_SECONDS = 600, 120


def run(*command, folder, environment=os.environ, seconds=RUN_SECONDS):
    """What a command prints; it must end well."""
    done = subprocess.run(list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def installed(name, packages, prepare, install):
    """A folder that one command prepared and in which another installed the packages: kept until others are asked for."""
    folder = KEPT / name
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:  # tests may run in several processes
        fcntl.flock(lock, fcntl.LOCK_EX)
        mark, asked = folder / "installed", "\n".join(packages)
        if not mark.exists() or mark.read_text() != asked:
            mark.unlink(missing_ok=True)
            run(*prepare, folder=folder, seconds=INSTALL_SECONDS)
            run(*install, *packages, folder=folder, seconds=INSTALL_SECONDS)
            mark.write_text(asked)
    return folder


def python_with(name, *packages):
    """The folder of programs of a Python that has these packages, and nothing of caudal's."""
    bin = KEPT / name / "venv" / "bin"
    installed(name, packages, (sys.executable, "-m", "venv", "venv"), (bin / "python", "-m", "pip", "--quiet", "install", "--no-compile"))
    return bin


def node_with(name, *packages):
    """A folder in which node finds these packages."""
    (KEPT / name).mkdir(parents=True, exist_ok=True)
    return installed(name, packages, ("npm", "init", "--yes"), ("npm", "--silent", "--no-audit", "--no-fund", "install"))


class Clients:
    """An endpoint, and programs that know of it by their environment alone."""

    def __init__(self, aws, folder):
        self.aws, self.folder = aws, folder
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON"))}
        self.environment = {
            **inherited, "AWS_ENDPOINT_URL": aws.address, "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        }

    def run(self, *command):
        """What a program prints."""
        return run(*command, folder=self.folder, environment=self.environment)


@pytest.fixture
def clients(tmp_path):
    with endpoint(tmp_path / "state") as aws:
        yield Clients(aws, tmp_path)
