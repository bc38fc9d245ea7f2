"""What the HTTP API's bodies are, for its OpenAPI description: of each table, what its contract says."""

from collections.abc import Iterable
from dataclasses import dataclass

from litestar.openapi.spec import OpenAPIFormat, OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema

from caudal.contract import Column, Contract

_TYPES = {
    "string": (OpenAPIType.STRING, None), "int": (OpenAPIType.INTEGER, None), "decimal": (OpenAPIType.NUMBER, None),
    "float": (OpenAPIType.NUMBER, None), "bool": (OpenAPIType.BOOLEAN, None), "date": (OpenAPIType.STRING, OpenAPIFormat.DATE),
    "timestamp": (OpenAPIType.STRING, OpenAPIFormat.DATE_TIME),
}


def takes(contracts: Iterable[Contract], one: bool, many: bool) -> type[Operation]:
    """An operation whose body is a record of one of these tables, a list of them, or either."""
    schemas = []
    for contract in contracts:
        record = _record(contract)
        schemas += [record] if one else []
        schemas += [Schema(title=f"list of {contract.name}", type=OpenAPIType.ARRAY, items=record)] if many else []
    kind = OpenAPIMediaType(Schema(one_of=schemas) if schemas else None)
    body = RequestBody({"application/json": kind}, required=True, description="by table, as the path names it")

    @dataclass
    class WithBody(Operation):
        def __post_init__(self) -> None:
            self.request_body = body

    return WithBody


def _record(contract: Contract) -> Schema:
    """Attributes that the contract does not name are kept in the store; what lacks a required one but the key, or has
    another type, is taken and waits in quarantine."""
    return Schema(
        title=contract.name, type=OpenAPIType.OBJECT, properties={column.name: _value(column) for column in contract.columns},
        required=[column.name for column in contract.columns if not column.nullable], additional_properties=True,
    )


def _value(column: Column) -> Schema:
    if column.kind == "json":
        return Schema(description="any JSON")
    if column.kind == "bytes":
        return Schema(type=OpenAPIType.OBJECT, properties={"$bytes": Schema(type=OpenAPIType.STRING, content_encoding="base64")})
    kind, format = _TYPES[column.kind]
    return Schema(
        type=[kind, OpenAPIType.NULL] if column.nullable else kind, format=format,
        enum=[*column.values, *([None] if column.nullable else [])] if column.values else None,
    )
