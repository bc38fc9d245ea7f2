"""Lake tables published as Iceberg tables, for engines other than caudal's own."""

from caudal.config import Config
from caudal.errors import MissingExtra
from caudal.lake.catalog import Catalog
from caudal.lake.files import Files
from caudal.lake.iceberg.port import Published, Publisher

__all__ = ["Published", "Publisher", "open_publisher"]


def open_publisher(config: Config, database: str, catalog: Catalog, files: Files) -> Publisher:
    """Open what publishes a pipeline's tables. Raises MissingExtra without the packages of `caudal[iceberg]`."""
    try:
        from caudal.lake.iceberg.publisher import IcebergPublisher
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("caudal"):
            raise
        raise MissingExtra(f"format iceberg needs the package {error.name}", hint="pip install 'caudal[iceberg]'") from error
    return IcebergPublisher.open(config, database, catalog, files)
