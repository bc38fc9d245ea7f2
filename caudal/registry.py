"""Opens the back end that a URL names, importing it only then."""

import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution, requires
from pathlib import Path
from typing import Any, TypeVar

from caudal.errors import ConfigError, MissingExtra

Port = TypeVar("Port")

_EXTRA = re.compile(r"(?P<package>[A-Za-z0-9._-]+).*;.*\bextra == ['\"](?P<extra>[^'\"]+)['\"]")


def check_url(port: str, backends: Collection[str], url: str) -> str:
    """The scheme of a port's URL, after looking whether somebody answers to it; nothing is imported.

    Raises ConfigError for a scheme that is not in `backends`, MissingExtra if a package of the extra of that name is not
    installed.
    """
    scheme, colon, _ = url.partition(":")
    if not colon or scheme not in backends:
        raise ConfigError(f"{url}: no such {port}", hint=f"its URL starts with {' or '.join(backends)}:")
    for package in _extras().get(scheme, ()):
        try:
            distribution(package)
        except PackageNotFoundError:
            raise _missing(scheme, package) from None
    return scheme


@cache
def _extras() -> dict[str, list[str]]:
    """Each extra of caudal to the packages that it adds; none in a copy that was never installed."""
    found: dict[str, list[str]] = {}
    with suppress(PackageNotFoundError):
        for line in requires("caudal") or ():
            if extra := _EXTRA.match(line):
                found.setdefault(extra["extra"], []).append(extra["package"])
    return found


def _missing(scheme: str, package: str | None) -> MissingExtra:
    return MissingExtra(f"{scheme} needs the package {package}", hint=f"pip install 'caudal[{scheme}]'")


def find_backend(port: type[Port], backends: Mapping[str, str], url: str) -> type[Port]:
    """The class behind the scheme of `url`.

    Raises ConfigError for a scheme that nobody answers to, MissingExtra if its package is not installed.
    """
    scheme = check_url(port.__name__.lower(), backends, url)
    module, name = backends[scheme].split(":")
    try:
        backend: type[Port] = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("caudal"):
            raise  # ours, and so a fault of ours
        raise _missing(scheme, error.name) from error
    return backend


def open_backend(port: type[Port], backends: Mapping[str, str], url: str, *args: Any, **kwargs: Any) -> Port:
    """Open the back end of `port` that answers to the scheme of `url`."""
    backend = find_backend(port, backends, url)
    opened: Port = backend.open(url, *args, **kwargs)  # type: ignore[attr-defined]
    return opened


def path_of(url: str) -> str:
    """The file path in `sqlite:///var/shop/store.db` or `file:relative/folder`.

    All of it, to the letter: a folder may be called `c#` or `50%?`.
    """
    return url.partition(":")[2].removeprefix("//")


def file_of(url: str) -> Path:
    """The file that a URL names. Raises ConfigError if it names none."""
    if not path_of(url):
        raise ConfigError(f"{url}: names no file", hint="write sqlite:folder/name.db")
    return Path(path_of(url))
