"""Conformance suites: subclass one to prove that a back end keeps its port's promises."""

from caudal.testing.catalog import CatalogSuite
from caudal.testing.files import FilesSuite
from caudal.testing.query import QuerySuite
from caudal.testing.store import StoreSuite
from caudal.testing.stream import StreamSuite
from caudal.testing.transform import TransformSuite
from caudal.testing.writer import WriterSuite

__all__ = ["CatalogSuite", "FilesSuite", "QuerySuite", "StoreSuite", "StreamSuite", "TransformSuite", "WriterSuite"]
