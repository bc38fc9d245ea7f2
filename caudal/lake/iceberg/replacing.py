"""Data files that take the place of others, in one snapshot."""

import logging
from collections.abc import Mapping
from typing import NamedTuple

from pyiceberg.manifest import DataFile, ManifestContent, ManifestFile
from pyiceberg.table import Transaction
from pyiceberg.table.refs import MAIN_BRANCH
from pyiceberg.table.snapshots import Operation, Summary
from pyiceberg.table.update.snapshot import _ManifestMergeManager, _OverwriteFiles

logging.getLogger("pyiceberg.io.pyarrow").setLevel(logging.ERROR)  # a column without bounds is no fault: its files are read

MANIFESTS, MANIFEST_BYTES = 20, 8 << 20
"""Manifests that are merged once there are as many, into ones of that size."""


class Change(NamedTuple):
    """Data files that take the place of others."""

    added: list[DataFile]
    removed: list[DataFile]


class _Replacing(_OverwriteFiles):
    """PyIceberg's overwrite, but the manifests stay few: what names no file that is there goes, and the rest is merged.

    Manifests of deletes, which other engines write, stay as they are.
    """

    same_rows = False
    """Whether the files hold the rows that they held before."""

    def _existing_manifests(self) -> list[ManifestFile]:
        return [one for one in super()._existing_manifests() if one.has_added_files() or one.has_existing_files()]

    def _process_manifests(self, manifests: list[ManifestFile]) -> list[ManifestFile]:
        data = [one for one in manifests if one.content == ManifestContent.DATA]
        deletes = [one for one in manifests if one.content != ManifestContent.DATA]
        return _ManifestMergeManager(MANIFEST_BYTES, MANIFESTS, True, self).merge_manifests(data) + deletes

    def _summary(self, snapshot_properties: Mapping[str, str] = {}) -> Summary:
        made = super()._summary(dict(snapshot_properties))
        return Summary(Operation.REPLACE, **made.additional_properties) if self.same_rows else made


def replace_files(tx: Transaction, change: Change, properties: Mapping[str, str] = {}, *, same_rows: bool = False) -> None:
    """Put a change into a transaction, as one snapshot; `properties` go into its summary."""
    if not change.removed:
        with tx.update_snapshot(dict(properties)).merge_append() as appending:
            for file in change.added:
                appending.append_data_file(file)
        return
    producer = _Replacing(
        operation=Operation.OVERWRITE if change.added else Operation.DELETE, transaction=tx, io=tx._table.io,
        snapshot_properties=dict(properties), branch=MAIN_BRANCH,
    )
    producer.same_rows = same_rows
    with producer:
        for file in change.removed:
            producer.delete_data_file(file)
        for file in change.added:
            producer.append_data_file(file)
