"""Opens the back end that a URL names, importing it only then."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, TypeVar

from caudal.errors import ConfigError, MissingExtra

Port = TypeVar("Port")


def find_backend(port: type[Port], backends: Mapping[str, str], url: str) -> type[Port]:
    """The class behind the scheme of `url`.

    Raises ConfigError for a scheme that nobody answers to, MissingExtra if its package is not installed.
    """
    scheme, colon, _ = url.partition(":")
    if not colon or scheme not in backends:
        raise ConfigError(f"{url}: no such {port.__name__.lower()}", hint=f"its URL starts with {' or '.join(backends)}:")
    module, name = backends[scheme].split(":")
    try:
        backend: type[Port] = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("caudal"):
            raise  # ours, and so a fault of ours
        raise MissingExtra(f"{scheme} needs the package {error.name}", hint=f"pip install 'caudal[{scheme}]'") from error
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
