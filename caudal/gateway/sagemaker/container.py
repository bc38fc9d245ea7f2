"""What stands for a container: a folder laid out as `/opt/ml`, and programs that run in it and end with this process."""

import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from caudal.errors import NotFound
from caudal.gateway.faults import AwsError
from caudal.gateway.s3.objects import Objects, split_url
from caudal.lake.files.durable import private

INHERITED = ("PATH", "LD_LIBRARY_PATH", "LANG", "HOME")


class Folder:
    """A container's `/opt/ml`, somewhere else: paths that a request gives below `/opt/ml` lie below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("input/config", "input/data", "model", "output/data", "code"):
            (root / name).mkdir(parents=True, exist_ok=True, mode=0o700)

    def path(self, text: str) -> str:
        """A path of the container's as one of this machine's; another text as it is."""
        return str(self.root / text.removeprefix("/opt/ml").lstrip("/")) if text.startswith("/opt/ml") else text

    def run(self, program: Sequence[str], environment: Mapping[str, str], log: Path) -> "subprocess.Popen[bytes]":
        """Start a program, in the code's folder; what it prints goes to `log`."""
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        command = [sys.executable if word in ("python", "python3") else self.path(word) for word in program]
        tether = [sys.executable, "-m", "caudal.gateway.tether", str(os.getpid())]
        paths = os.pathsep.join([str(self.root / "code"), *filter(None, sys.path)])
        with open(log, "ab", opener=private) as out:
            return subprocess.Popen(
                [*tether, *command], cwd=self.root / "code", stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                env={**inherited, "PYTHONUNBUFFERED": "1", "PYTHONPATH": paths, **environment}, start_new_session=True,
            )


def end(process: "subprocess.Popen[bytes]", seconds: float) -> None:
    """SIGTERM, and SIGKILL if that did not end it in time; with all that it started."""
    for kind, wait in ((signal.SIGTERM, seconds), (signal.SIGKILL, 10.0)):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, kind)
        until = time.monotonic() + wait
        while process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        if process.poll() is not None:
            break
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def program_of(code: Path, given: str) -> list[str]:
    """The command of a script of the user's: Python, or a shell's. Raises AwsError if it is not there."""
    target = (code / given).resolve()
    if not target.is_relative_to(code.resolve()) or not target.is_file():
        raise AwsError("ValidationException", f"the program {given} is not in the code")
    return ["sh", str(target)] if given.endswith(".sh") else ["python", str(target)]


def fetch(objects: Objects, url: str, into: Path) -> None:
    """Unpack a tar.gz of S3 in a folder. Raises AwsError."""
    bucket, key = split_url(url)
    packed = into / ".fetched.tar.gz"
    try:
        objects.download(bucket, key, packed)
        with tarfile.open(packed, "r:gz") as archive:
            archive.extractall(into, filter="data")
    except NotFound as error:
        raise AwsError("ValidationException", f"Could not find {url}: {error}") from None
    except (tarfile.TarError, EOFError, OSError) as error:
        raise AwsError("ValidationException", f"{url} is no tar.gz: {error}") from None
    finally:
        packed.unlink(missing_ok=True)


def pack(folder: Path, into: Path) -> None:
    """All of a folder as a tar.gz."""
    with tarfile.open(into, "w:gz", compresslevel=6) as archive:
        for path in sorted(folder.iterdir()):
            archive.add(path, path.name)


def download_prefix(objects: Objects, url: str, into: Path) -> int:
    """Every object below an S3 prefix as a file; how many."""
    bucket, prefix = split_url(url)
    count = 0
    for found in objects.list(bucket, prefix):
        name = found.key.removeprefix(prefix).lstrip("/") or found.key.rpartition("/")[2]
        target = (into / name).resolve()
        if not target.is_relative_to(into.resolve()):
            raise AwsError("ValidationException", "an object's name leads out of its channel's folder")
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        objects.download(bucket, found.key, target)
        count += 1
    return count
