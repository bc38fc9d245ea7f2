"""Which table a record is for and what it does there; each table's share is one commit.

The id of the delivery is in the snapshot's summary, so one that is repeated after a kill adds nothing twice.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence

import pyarrow as pa

from caudal.errors import CaudalError, NotFound, UsageError
from caudal.gateway.cloud import Cloud
from caudal.gateway.firehose.records import Failed, Record, Refused
from caudal.gateway.firehose.settings import Settings, Target

KIND = "iceberg-failed"
OPERATIONS = ("insert", "update", "delete")
WAIT_SECONDS = 0.2


class TableWriter:
    """Writes what one delivery stream brings to the Data Catalog's Iceberg tables."""

    def __init__(self, cloud: Cloud, settings: Settings, stopped: Callable[[], bool]) -> None:
        self._cloud, self._settings, self._stopped = cloud, settings, stopped

    def write(self, records: Sequence[Record], id: str) -> list[Failed]:
        """Deliver records to their tables; what could not be. The same id is delivered once to each table."""
        shares: dict[Target, list[tuple[str, Record]]] = defaultdict(list)
        failed = []
        for record in records:
            target, operation, refused = self._routed(dict(record.keys))
            if target is None:
                failed.append(Failed(record, KIND, *refused, 1))
            else:
                shares[target].append((operation, record))
        for target, share in shares.items():
            failed += self._written(target, share, id)
        return failed

    def _routed(self, said: dict[str, str]) -> tuple[Target | None, str, Refused]:
        """The table, the operation there, or why there is none."""
        targets = self._settings.targets or ()
        database, name = said.get("destinationDatabaseName", ""), said.get("destinationTableName", "")
        operation = (said.get("operation") or "insert").lower()
        if operation not in OPERATIONS:
            return None, "", ("Iceberg.InvalidOperation", f"The operation is not one of {', '.join(OPERATIONS)}.")
        if not database and not name and len(targets) == 1:
            return targets[0], operation, ("", "")
        if not database or not name:
            told = "Neither the function nor the query says which database and table the record is for."
            return None, "", ("Iceberg.MissingDestination", told)
        place = database.lower(), name.lower()
        found = next((target for target in targets if (target.database, target.name) == place), None)
        return found or Target(*place), operation, ("", "")

    def _written(self, target: Target, share: list[tuple[str, Record]], id: str) -> list[Failed]:
        """One table's share. Raises CaudalError where it is to be tried again after a restart."""
        from caudal.gateway.firehose.iceberg.merging import Merge  # and with it the packages of the extra iceberg

        attempts, until = 0, time.monotonic() + self._settings.retry_seconds
        while True:
            attempts += 1
            try:
                merge = Merge(self._cloud.iceberg.load(target.database, target.name).schema(), target.key)
                bad = merge.add_all(share)
                merge.write(self._cloud.iceberg, target.database, target.name, f"firehose/{id}")
            except (UsageError, pa.ArrowException) as error:
                code, told = "Iceberg.NoSuchTable" if isinstance(error, NotFound) else "Iceberg.InvalidTable", str(error)
            except CaudalError as error:
                if self._stopped():
                    raise
                if time.monotonic() < until:
                    time.sleep(WAIT_SECONDS)
                    continue
                code, told = "Iceberg.CommitFailed", str(error)
            else:
                return [self._failed(target, record, refused, attempts) for record, refused in bad]
            return [self._failed(target, record, (code, told), attempts) for _, record in share]

    @staticmethod
    def _failed(target: Target, record: Record, refused: Refused, attempts: int) -> Failed:
        return Failed(record, KIND, *refused, attempts, target.error_prefix)
