"""The DynamoDB API."""

from caudal.gateway.dynamodb.values import read_item, read_value, write_item, write_value
from caudal.gateway.dynamodb.writing import Writing


class DynamoDB(Writing):
    """Tables of items, in the store: writes durable before they are acknowledged, each one transaction with its change.

    Reads are consistent, asked for or not; an item that expired is not shown, and is deleted within seconds. Legacy
    parameters and PartiQL are refused by name.
    """

    quick = frozenset({"GetItem", "PutItem", "UpdateItem", "DeleteItem"})
    shapes = {
        "AttributeValue": (read_value, write_value), "Key": (read_item, write_item), "AttributeMap": (read_item, write_item),
        "PutItemInputAttributeMap": (read_item, write_item), "ExpressionAttributeValueMap": (read_item, write_item),
    }
