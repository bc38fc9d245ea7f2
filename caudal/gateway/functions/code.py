"""A function's code: the zip file as it came, and unpacked, by its hash."""

import base64
import hashlib
import io
import os
import shutil
import stat
import zipfile
from pathlib import Path

from caudal.gateway.faults import AwsError

UNPACKED_BYTES = 262_144_000
"""What a function's code may be, unpacked; as AWS has it."""


def code_hash(data: bytes) -> str:
    """CodeSha256."""
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def unpack(data: bytes, folder: Path) -> Path:
    """Unpack a zip file below `folder`, once; the folder with the code. Raises AwsError."""
    target = folder / hashlib.sha256(data).hexdigest()[:32]
    if target.exists():
        return target
    half = folder / f".{os.getpid()}-{os.urandom(4).hex()}"
    half.mkdir(parents=True, mode=0o700)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check(archive, half)
            archive.extractall(half)
        half.rename(target)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, RuntimeError):
        told = "Could not unzip uploaded file. Please check your file, then try to upload again."
        raise AwsError("InvalidParameterValueException", told) from None
    except OSError:
        if not target.exists():  # another request unpacked the same
            raise
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return target


def _check(archive: zipfile.ZipFile, folder: Path) -> None:
    """Raises AwsError for what is too large, or would be written elsewhere."""
    if sum(entry.file_size for entry in archive.infolist()) > UNPACKED_BYTES:
        told = f"Unzipped size must be smaller than {UNPACKED_BYTES} bytes"
        raise AwsError("InvalidParameterValueException", told)
    for entry in archive.infolist():
        is_link = stat.S_ISLNK(entry.external_attr >> 16)
        if is_link or not (folder / entry.filename).resolve().is_relative_to(folder.resolve()):
            raise AwsError("InvalidParameterValueException", "the zip file has an entry that leads out of it")
