"""What users' functions print: kept apart from what caudal says, private, and bounded."""

from pathlib import Path

from caudal.lake.files.durable import private

LIMIT_BYTES = 1 << 20
"""A file that has grown past this becomes `….old`, in place of the one before."""


class Printed:
    """The newest output of one function, in a file that is made with its first bytes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, data: bytes) -> None:
        """Append some output. Raises OSError."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._path.exists() and self._path.stat().st_size + len(data) > LIMIT_BYTES:
            self._path.replace(self._path.with_suffix(".old"))
        with open(self._path, "ab", opener=private) as file:
            file.write(data)
