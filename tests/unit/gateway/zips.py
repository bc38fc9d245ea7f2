"""Zip files with a function's code."""

import io
import zipfile


def zipped(code, name="main.py", **more):
    """A zip file with one module, and further files by their names."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, code)
        for other, text in more.items():
            archive.writestr(other, text)
    return out.getvalue()
