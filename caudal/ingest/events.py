"""Events: facts that are appended to a stream, and to no table of items."""

from collections.abc import Sequence

from caudal.contract import Contract
from caudal.forms import check_own
from caudal.ingest.changes import Stamp, encode_event
from caudal.ingest.items import encode_item, encode_key
from caudal.ingest.stream.port import Stream
from caudal.records import Item


class EventLog:
    """Appends events of one table. Events that agree in the contract's first column keep their order."""

    def __init__(self, stream: Stream, contract: Contract) -> None:
        self._stream = stream
        self._name = contract.name
        self._form = contract.form
        self._order_by = contract.columns[0].name
        self._stamp = Stamp()

    def append(self, events: Sequence[Item]) -> list[str]:
        """Append events durably, all or none; returns their event ids.

        Raises InvalidItem, and UsageError for a table that another system feeds.
        """
        check_own(self._name, self._form)
        now = self._stamp.time()
        ids, records = [], []
        for event in events:
            event_id = self._stamp.id()
            lead = event.get(self._order_by)
            key = encode_key([lead]) if isinstance(lead, str | int) and not isinstance(lead, bool) else event_id.encode()
            ids.append(event_id)
            records.append((key, encode_event(event_id, now, encode_item(event))))
        self._stream.append(self._name, records)
        return ids
