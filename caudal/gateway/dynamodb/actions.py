"""One write of an item: what it does to the item that is there, under its condition."""

from collections.abc import Callable
from typing import Any, Final

from caudal.gateway.dynamodb.scope import Condition, Scope
from caudal.gateway.dynamodb.tables import Table
from caudal.gateway.dynamodb.updates import Update
from caudal.gateway.dynamodb.values import check_item_size, invalid
from caudal.gateway.faults import AwsError
from caudal.ingest.items import encode_key
from caudal.ingest.store import Modify
from caudal.records import Item

UNSEEN: Final[Any] = object()
"""In place of an item that was not looked at."""


class Action:
    """A put, update, deletion or check of one item, checked; then what was there, and what is."""

    def __init__(
        self, table: Table, key: tuple[Any, ...], change: Callable[[Item | None], Item | None], given: dict[str, Any]
    ) -> None:
        self.table, self.key, self._change = table, key, change
        self.condition: Condition | None = None
        self.update: Update | None = None
        self.shows_failed = given.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
        self.old: Item | None = UNSEEN
        self.new: Item | None = UNSEEN

    @property
    def place(self) -> tuple[str, bytes]:
        """Table and key: two actions of one transaction never have the same."""
        return self.table.name, encode_key(self.key)

    @property
    def write(self) -> Modify:
        """It, as a write of the store."""
        return Modify(self.table.name, self.key, self._apply)

    def _apply(self, item: Item | None) -> Item | None:
        self.old = item
        if self.condition is not None and not self.condition(item or {}):
            raise AwsError("ConditionalCheckFailedException", "The conditional request failed",
                           Item=item if item is not None and self.shows_failed else None)
        self.new = self._change(item)
        return self.new


def put(table: Table, given: dict[str, Any]) -> Action:
    """A PutItem. Raises AwsError."""
    item: Item = given["Item"]
    table.check_item(item)
    check_item_size(item)
    return _conditional(Action(table, table.key_of(item), lambda old: item, given), given)


def delete(table: Table, given: dict[str, Any]) -> Action:
    """A DeleteItem. Raises AwsError."""
    return _conditional(Action(table, table.check_key(given["Key"]), lambda old: None, given), given)


def check(table: Table, given: dict[str, Any]) -> Action:
    """A ConditionCheck. Raises AwsError."""
    return _conditional(Action(table, table.check_key(given["Key"]), lambda old: old, given), given)


def update(table: Table, given: dict[str, Any]) -> Action:
    """An UpdateItem. Raises AwsError."""
    key: Item = given["Key"]
    scope = _scope(given)
    text = given.get("UpdateExpression")
    made = Update(text, scope, table.key)

    def change(old: Item | None) -> Item | None:
        new = made.apply(old if old is not None else key)
        table.check_indexes(new)
        check_item_size(new, "Item size to update has")
        return new

    action = Action(table, table.check_key(key), change, given)
    action.update = made
    return _conditional(action, given, scope, {"UpdateExpression": text})


def _scope(given: dict[str, Any]) -> Scope:
    return Scope(given.get("ExpressionAttributeNames"), given.get("ExpressionAttributeValues"))


def _conditional(
    action: Action, given: dict[str, Any], scope: Scope | None = None, others: dict[str, str | None] | None = None
) -> Action:
    text = given.get("ConditionExpression")
    scope = scope or _scope(given)
    action.condition = scope.condition(text, "ConditionExpression")
    scope.check_used({**(others or {}), "ConditionExpression": text})
    return action


def returned(kind: str, action: Action) -> Item | None:
    """What ReturnValues wants of a write that was done; None for nothing."""
    if kind == "ALL_OLD":
        return action.old
    if kind == "ALL_NEW":
        return action.new
    if kind in ("UPDATED_OLD", "UPDATED_NEW") and action.update is not None:
        item = action.old if kind == "UPDATED_OLD" else action.new
        return action.update.touched(item or {}) or None
    return None


def check_returned(kind: str, allowed: tuple[str, ...]) -> None:
    """Raises AwsError for a ReturnValues that the operation does not have."""
    if kind not in allowed:
        raise invalid("ReturnValues can only be ALL_OLD or NONE")
