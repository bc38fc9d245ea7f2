"""The DynamoDB API's writes: one item, batches, transactions."""

from dataclasses import replace
from typing import Any

from caudal.gateway.cloud import refuse
from caudal.gateway.dynamodb import actions, tokens, transactions
from caudal.gateway.dynamodb.actions import Action
from caudal.gateway.dynamodb.administration import Answer
from caudal.gateway.dynamodb.capacity import add_up, consumed, index_units, write_units
from caudal.gateway.dynamodb.reading import Reading
from caudal.gateway.dynamodb.throughput import CODE
from caudal.gateway.dynamodb.values import invalid, size_of_item
from caudal.gateway.faults import AwsError
from caudal.hurry import may_wait
from caudal.ingest.store import Modify, Put
from caudal.records import Item as Attributes

_EXPRESSIONS = (
    "ConditionExpression", "ExpressionAttributeNames", "ExpressionAttributeValues", "ReturnValuesOnConditionCheckFailure")
_RETURNS = ("ReturnConsumedCapacity", "ReturnItemCollectionMetrics")


class Writing(Reading):
    """Items that are written."""

    def put_item(self, *, TableName: str, Item: Attributes, ReturnValues: str = "NONE", **given: Any) -> Answer:
        _check_members(given, (*_EXPRESSIONS, *_RETURNS))
        actions.check_returned(ReturnValues, ("NONE", "ALL_OLD"))
        table = self.account.find(TableName)
        action = actions.put(table, {**given, "Item": Item})
        is_plain = action.condition is None and ReturnValues == "NONE" and not any(given.get(name) for name in _RETURNS)
        if is_plain and not self.throughput.limited:
            self.account.store.write([Put(table.name, Item, skip_same=True)])
            return {}
        return self._write(action, ReturnValues, given)

    def delete_item(self, *, TableName: str, Key: Attributes, ReturnValues: str = "NONE", **given: Any) -> Answer:
        _check_members(given, (*_EXPRESSIONS, *_RETURNS))
        actions.check_returned(ReturnValues, ("NONE", "ALL_OLD"))
        return self._write(actions.delete(self.account.find(TableName), {**given, "Key": Key}), ReturnValues, given)

    def update_item(self, *, TableName: str, Key: Attributes, ReturnValues: str = "NONE", **given: Any) -> Answer:
        _check_members(given, (*_EXPRESSIONS, *_RETURNS, "UpdateExpression"))
        return self._write(actions.update(self.account.find(TableName), {**given, "Key": Key}), ReturnValues, given)

    def _write(self, action: Action, returns: str, given: Answer) -> Answer:
        if given.get("ReturnItemCollectionMetrics") == "SIZE":
            may_wait()  # for a look at the whole collection
        self.account.store.write([self.throughput.write(action)])
        return {
            "Attributes": actions.returned(returns, action),
            "ConsumedCapacity": _consumed(action, given.get("ReturnConsumedCapacity")),
            "ItemCollectionMetrics": self._collection(action, given.get("ReturnItemCollectionMetrics")),
        }

    def _collection(self, action: Action, wanted: str | None) -> Answer | None:
        """The size of an item's collection, which only tables with local indexes have; in GB, to a tenth of one."""
        if wanted != "SIZE" or not any(index.is_local for index in action.table.indexes):
            return None
        total, after = 0, None
        while True:
            page = self.account.store.query(action.table.name, [action.key[0]], after=after)
            total += sum(size_of_item(item) for item in page.items) * 2  # once in the table, once in the index
            after = page.after
            if after is None:
                break
        low = total // (1 << 30)
        key = {action.table.key[0]: action.key[0]}
        return {"ItemCollectionKey": key, "SizeEstimateRangeGB": [float(low), float(low + 1)]}

    def batch_write_item(self, *, RequestItems: dict[str, list[Answer]], **given: Any) -> Answer:
        _check_members(given, _RETURNS)
        wanted: list[tuple[Action, Answer]] = []
        for name, requests in RequestItems.items():
            table = self.account.find(name)
            for request in requests:
                if len(request) != 1:
                    raise invalid("A write request is either a PutRequest or a DeleteRequest")
                is_put = "PutRequest" in request
                made = actions.put(table, request["PutRequest"]) if is_put else actions.delete(table, request["DeleteRequest"])
                wanted.append((made, request))
        if not 1 <= len(wanted) <= 25:
            told = "The batch write request list for a table cannot be null or empty"
            raise invalid("Too many items requested for the BatchWriteItem call" if wanted else told)
        if len({action.place for action, _ in wanted}) < len(wanted):
            raise invalid("Provided list of item keys contains duplicates")
        waiting = self._write_all(wanted)
        done = [action for action, request in wanted if request not in waiting.get(action.table.name, ())]
        collections: dict[str, list[Answer]] = {}
        for action in done:
            found = self._collection(action, given.get("ReturnItemCollectionMetrics"))
            if found is not None and found not in collections.setdefault(action.table.name, []):
                collections[action.table.name].append(found)
        return {
            "UnprocessedItems": waiting, "ItemCollectionMetrics": collections or None,
            "ConsumedCapacity": add_up([_consumed(action, given.get("ReturnConsumedCapacity")) for action in done]),
        }

    def _write_all(self, wanted: list[tuple[Action, Answer]]) -> dict[str, list[Answer]]:
        """Write a batch; the requests that there was no throughput for, by table. Raises AwsError if that is all of them."""
        refused: dict[int, AwsError] = {}

        def lenient(n: int, action: Action) -> Modify:
            write = self.throughput.write(action)

            def change(item: Attributes | None) -> Attributes | None:
                try:
                    return write.change(item)
                except AwsError as error:
                    if error.code != CODE:
                        raise
                    refused[n] = error
                    return item

            return replace(write, change=change)

        self.account.store.write([lenient(n, action) for n, (action, _) in enumerate(wanted)])
        if len(refused) == len(wanted):
            raise refused[0]
        waiting: dict[str, list[Answer]] = {}
        for n in sorted(refused):
            action, request = wanted[n]
            waiting.setdefault(action.table.name, []).append(request)
        return waiting

    def transact_write_items(
        self, *, TransactItems: list[Answer], ClientRequestToken: str | None = None, ReturnConsumedCapacity: str | None = None,
        ReturnItemCollectionMetrics: str | None = None,
    ) -> Answer:
        made = [self._action(given) for given in TransactItems]
        if len({action.place for action in made}) < len(made):
            raise invalid("Transaction request cannot include multiple operations on one item")
        claims = [tokens.claim(ClientRequestToken, TransactItems)] if ClientRequestToken is not None else []
        try:
            self._transact(claims, made)
        except tokens.Again:
            # Nothing is written again, and AWS counts what reading the items takes.
            return {"ConsumedCapacity": add_up([consumed(ReturnConsumedCapacity, action.table, 2.0) for action in made])}
        metrics: dict[str, list[Answer]] = {}
        for action in made:
            found = self._collection(action, ReturnItemCollectionMetrics)
            if found is not None:
                metrics.setdefault(action.table.name, []).append(found)
        units = [_consumed(action, ReturnConsumedCapacity, True) for action in made]
        return {"ConsumedCapacity": add_up(units), "ItemCollectionMetrics": metrics or None}

    def _action(self, given: Answer) -> Action:
        if len(given) != 1:
            raise invalid("TransactItems can only contain one of Check, Put, Update or Delete")
        ((kind, inner),) = given.items()
        table = self.account.find(inner["TableName"])
        makers = {"Put": actions.put, "Delete": actions.delete, "Update": actions.update, "ConditionCheck": actions.check}
        return makers[kind](table, inner)

    def _transact(self, claims: list[Modify], made: list[Action]) -> None:
        """All or none; what each action does is seen before one that fails undoes all."""
        reasons = [transactions.NONE for _ in made]

        def guarded(n: int, action: Action) -> Modify:
            write = self.throughput.write(action, transaction=True)

            def change(item: Attributes | None) -> Attributes | None:
                try:
                    return write.change(item)
                except AwsError as error:
                    reasons[n] = transactions.reason(error)
                    return item

            return replace(write, change=change)

        def finish(item: Attributes | None) -> Attributes | None:
            transactions.check(reasons)
            transactions.check_size(sum(size_of_item(action.new or {}) for action in made))
            return item

        last = made[-1]
        writes = [guarded(n, action) for n, action in enumerate(made)]
        self.account.store.write([*claims, *writes, replace(last.write, change=finish)])


def _consumed(action: Action, wanted: str | None, transaction: bool = False) -> Answer | None:
    if wanted not in ("TOTAL", "INDEXES"):
        return None
    size = max(size_of_item(item) for item in (action.old or {}, action.new or {}))
    units = write_units(size, transaction)
    return consumed(wanted, action.table, units, index_units(action.table, action.old, action.new, transaction))


def _check_members(given: Answer, served: tuple[str, ...]) -> None:
    refuse({name: value for name, value in given.items() if name not in served}, "ValidationException")
