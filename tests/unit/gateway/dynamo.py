"""Tables for the tests of DynamoDB, and how a refusal is looked at."""

import pytest
from botocore.exceptions import ClientError


def keyed(**types):
    """AttributeDefinitions and KeySchema: the first two are the key, in their order."""
    names = list(types)
    return {
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": kind} for name, kind in types.items()],
        "KeySchema": schema(*names[:2]), "BillingMode": "PAY_PER_REQUEST",
    }


def schema(*names):
    return [{"AttributeName": name, "KeyType": kind} for name, kind in zip(names, ("HASH", "RANGE"), strict=False)]


def index(name, *key, **projection):
    return {"IndexName": name, "KeySchema": schema(*key), "Projection": projection or {"ProjectionType": "ALL"}}


def refused(call, code="ValidationException", **arguments):
    """The error that a call gets."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    assert caught.value.response["Error"]["Code"] == code, caught.value
    return caught.value.response


def told(call, **arguments):
    """The message of the ValidationException that a call gets."""
    return refused(call, **arguments)["Error"]["Message"]
