"""One record, looked at for members that its contract does not know."""

import msgspec

from caudal.contract import Contract
from caudal.ingest.transform.form import UNREADABLE

WHOLE = "_record"
"""Name under which a record is kept whole, as text, if it is no JSON by the letter: NaN is not, nor half a surrogate pair."""

_Members = dict[str, msgspec.Raw]

_members = msgspec.json.Decoder(_Members).decode
_word = msgspec.json.Decoder(str).decode
_encode = msgspec.json.encode



def unknown_members(contract: Contract, raw: bytes) -> dict[str, bytes]:
    """Name to JSON of what a record has and its contract does not know; of a name that comes twice the last counts.

    Raises one of `UNREADABLE`, or KeyError if the record is not of the contract's form.
    """
    item = _ITEMS[contract.form](_members(raw))
    return {name: bytes(value) for name, value in item.items() if name not in contract.known_names}


def read_unknown(contract: Contract, raw: bytes) -> str:
    """The unknown members of a record that became a row, as the text of one JSON object; "" if it has none.

    Values stand as they came, to the digit.
    """
    try:
        return _joined(unknown_members(contract, raw))
    except UNREADABLE:
        return _joined({WHOLE: _encode(raw.decode(errors="backslashreplace"))})


def _joined(members: dict[str, bytes]) -> str:
    parts = [f"{_encode(name).decode()}:{value.decode()}" for name, value in members.items()]
    return f"{{{','.join(parts)}}}" if parts else ""


def _dynamodb(record: _Members) -> _Members:
    return _members(_members(record["dynamodb"])["OldImage" if _word(record["eventName"]) == "REMOVE" else "NewImage"])


def _debezium(record: _Members) -> _Members:
    change = _members(record["payload"]) if "payload" in record else record
    return _members(change["before" if _word(change["op"]) == "d" else "after"])


_ITEMS = {
    "caudal": lambda record: _members(record["row"]), "plain": lambda record: record,
    "dynamodb": _dynamodb, "debezium": _debezium,
}
"""Form to where in a record its item is."""
