"""A contract as an Iceberg schema: field ids that live on, exact types, hidden partitions."""

from typing import NamedTuple

from pyiceberg.exceptions import ValidationError
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table, Transaction
from pyiceberg.table.update.schema import UpdateSchema
from pyiceberg.transforms import (
    DayTransform,
    HourTransform,
    IdentityTransform,
    MonthTransform,
    Transform,
    YearTransform,
)
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    IcebergType,
    IntegerType,
    LongType,
    NestedField,
    StringType,
    TimestamptzType,
)

from caudal.contract import Contract
from caudal.errors import ContractError

_TYPES: dict[str, IcebergType] = {
    "string": StringType(), "int": LongType(), "float": DoubleType(), "bool": BooleanType(), "date": DateType(),
    "timestamp": TimestamptzType(), "bytes": BinaryType(), "json": StringType(),
}
_SYSTEM: dict[str, IcebergType] = {
    "string": StringType(), "timestamp[us, tz=UTC]": TimestamptzType(), "int32": IntegerType(), "int64": LongType(),
}
_TRANSFORMS: dict[str, Transform] = {  # type: ignore[type-arg]
    "identity": IdentityTransform(), "year": YearTransform(), "month": MonthTransform(), "day": DayTransform(),
    "hour": HourTransform(),
}


class _Field(NamedTuple):
    """A column as the Iceberg table should have it."""

    name: str
    type: IcebergType
    required: bool
    old_names: tuple[str, ...] = ()


def _fields(contract: Contract, history: bool) -> list[_Field]:
    """The declared columns, and those of caudal if it shows every change.

    In a history every declared column may be NULL: of a deleted item only the key may be known. Nested values are JSON
    text.
    """
    fields = [
        _Field(column.name, DecimalType(column.precision, column.scale) if column.kind == "decimal" else _TYPES[column.kind],
               not column.nullable and not history, column.old_names)
        for column in contract.columns
    ]
    if history:
        system = list(contract.row_schema)[len(contract.columns):]
        fields += [_Field(field.name, _SYSTEM[str(field.type)], not field.nullable) for field in system]
    return fields


def schema_of(contract: Contract, history: bool) -> Schema:
    """The schema of a new table."""
    fields = [
        NestedField(id, field.name, field.type, required=field.required)
        for id, field in enumerate(_fields(contract, history), 1)
    ]
    ids = {field.name: field.field_id for field in fields}
    return Schema(*fields, identifier_field_ids=[] if history else [ids[name] for name in contract.key])


def spec_of(contract: Contract, schema: Schema) -> PartitionSpec:
    """The contract's partitions, hidden: a query on the column itself finds them."""
    return PartitionSpec(*(
        PartitionField(schema.find_field(part.column).field_id, id, _TRANSFORMS[part.unit], part.folder)
        for id, part in enumerate(contract.partition, 1000)
    ))


def evolve(table: Table, tx: Transaction, contract: Contract, history: bool) -> bool:
    """Bring the table's schema to the contract, in the transaction: new, gone, renamed, wider and now optional columns.

    Returns whether a column came back that the table once had: its values are in the lake, and not in the table.
    Raises ContractError for a change that Iceberg cannot make.
    """
    schema, wanted = table.schema(), _fields(contract, history)
    if _is_as_wanted(schema, wanted):
        return False
    try:
        with tx.update_schema() as update:
            added = _change(update, schema, wanted)
    except (ValidationError, ValueError) as error:
        raise ContractError(
            f"iceberg table {contract.name}: {error}", hint="declare a table of another name beside this one"
        ) from None
    had = {name for old in table.metadata.schemas for name in old.column_names}
    return bool(added & had)


def _is_as_wanted(schema: Schema, wanted: list[_Field]) -> bool:
    """A column that came later is optional for ever."""
    known = {field.name: field for field in schema.fields}
    return known.keys() == {field.name for field in wanted} and all(
        known[field.name].field_type == field.type and known[field.name].required <= field.required for field in wanted
    )


def _change(update: UpdateSchema, schema: Schema, wanted: list[_Field]) -> set[str]:
    """Columns that are added; the others change."""
    known = {field.name: field for field in schema.fields}
    added, kept = set(), set()
    for field in wanted:
        name = next((name for name in (field.name, *field.old_names) if name in known), None)
        if name is None:
            update.add_column(field.name, field.type)
            added.add(field.name)
            continue
        kept.add(name)
        update.update_column(name, field_type=field.type, required=known[name].required and field.required)
        if name != field.name:
            update.rename_column(name, field.name)
    for name in known.keys() - kept:
        update.delete_column(name)
    return added
