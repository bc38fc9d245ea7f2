"""Whether somebody answers to every URL of a configuration: said before the first stage is opened, and without any back end."""

from collections.abc import Collection, Mapping

from caudal.config import Config
from caudal.errors import ConfigError
from caudal.ingest import store, stream, transform, writer
from caudal.lake import catalog, files, query
from caudal.learn import trainer
from caudal.registry import check_url
from caudal.serve import BACKENDS as ENDPOINTS

SCHEMES: Mapping[str, Collection[str]] = {
    "store": store.BACKENDS, "stream": stream.BACKENDS, "transform": transform.BACKENDS, "writer": writer.BACKENDS,
    "files": files.BACKENDS, "catalog": catalog.BACKENDS, "iceberg": ("sqlite",), "query": query.BACKENDS,
    "trainer": trainer.BACKENDS, "endpoint": ENDPOINTS, "gateway": ("http",),
}
"""Section of the configuration to the schemes that its URL may have."""


def checked(config: Config) -> Config:
    """The configuration. Raises ConfigError for an unknown scheme, MissingExtra for one whose package is not installed."""
    for section, schemes in SCHEMES.items():
        try:
            check_url(section, schemes, config.url(section))
        except ConfigError as error:
            raise type(error)(f"{section}.url: {error}", hint=error.hint) from None
    return config
