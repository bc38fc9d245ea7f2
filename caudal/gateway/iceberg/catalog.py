"""PyIceberg's Glue catalog over our own Glue and S3, in this process."""

from types import SimpleNamespace
from typing import Any

from pyiceberg.catalog.glue import GlueCatalog
from pyiceberg.io import FileIO
from pyiceberg.typedef import EMPTY_DICT, Properties

from caudal.gateway.cloud import Cloud
from caudal.gateway.faults import AwsError
from caudal.gateway.iceberg.files import S3Files
from caudal.gateway.s3.cache import Cache

_CODES = ("AlreadyExistsException", "ConcurrentModificationException", "EntityNotFoundException", "InvalidInputException")


class _Client:
    """What PyIceberg calls of boto3's Glue client, on the service itself."""

    exceptions = SimpleNamespace(**{code: type(code, (Exception,), {}) for code in _CODES})

    def __init__(self, glue: Any) -> None:
        self._glue = glue

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._glue, name)

        def call(**members: Any) -> Any:
            try:
                return operation(**members)
            except AwsError as error:
                known = getattr(self.exceptions, error.code, None)
                if known is None:
                    raise
                raise known(str(error)) from error

        return call


class Catalog(GlueCatalog):
    """The Data Catalog of an endpoint."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__("caudal", _Client(cloud.service("glue")))
        self._objects, self._cache = cloud.objects, Cache(cloud.objects, cloud.folder / "iceberg-cache")

    def _load_file_io(self, properties: Properties = EMPTY_DICT, location: str | None = None) -> FileIO:
        return S3Files(self._objects, self._cache)  # what a table's own properties say of S3 is for other clients
