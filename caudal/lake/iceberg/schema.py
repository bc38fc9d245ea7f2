"""A contract as an Iceberg schema: field ids that live on, exact types, hidden partitions."""

from pyiceberg.exceptions import ValidationError
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table, Transaction
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

from caudal.contract import SYSTEM, Column, Contract
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


def field_type(column: Column) -> IcebergType:
    """The column's type; nested values are JSON text."""
    return DecimalType(column.precision, column.scale) if column.kind == "decimal" else _TYPES[column.kind]


def schema_of(contract: Contract, history: bool) -> Schema:
    """The schema of a new table: the declared columns, and those of `SYSTEM` if it shows every change.

    In a history every declared column may be NULL: of a deleted item only the key may be known.
    """
    fields = [
        NestedField(id, column.name, field_type(column), required=_required(column, history))
        for id, column in enumerate(contract.columns, 1)
    ]
    for field in SYSTEM if history else ():
        fields.append(NestedField(len(fields) + 1, field.name, _SYSTEM[str(field.type)], required=not field.nullable))
    ids = {field.name: field.field_id for field in fields}
    return Schema(*fields, identifier_field_ids=[] if history else [ids[name] for name in contract.key])


def spec_of(contract: Contract, schema: Schema) -> PartitionSpec:
    """The contract's partitions, hidden: a query on the column itself finds them."""
    return PartitionSpec(*(
        PartitionField(schema.find_field(part.column).field_id, id, _TRANSFORMS[part.unit], part.folder)
        for id, part in enumerate(contract.partition, 1000)
    ))


def evolve(table: Table, tx: Transaction, contract: Contract, history: bool) -> None:
    """Bring the table's schema to the contract, in the transaction: new, renamed, wider and now optional columns.

    Raises ContractError for a change that Iceberg cannot make.
    """
    schema = table.schema()
    if _signature(schema) == _signature_of(contract, history, schema):
        return
    try:
        with tx.update_schema() as update:
            known = set(schema.column_names)
            for column in contract.columns:
                if column.name not in known and column.old_name in known:
                    update.rename_column(column.old_name, column.name)
                elif column.name not in known:
                    update.add_column(column.name, field_type(column))
                    continue
                had = schema.find_field(column.name if column.name in known else column.old_name)
                required = had.required and _required(column, history)
                update.update_column(had.name, field_type=field_type(column), required=required)
    except (ValidationError, ValueError) as error:
        raise ContractError(
            f"iceberg table {contract.name}: {error}", hint="declare a table of another name beside this one"
        ) from None


def _required(column: Column, history: bool) -> bool:
    return not column.nullable and not history


def _signature(schema: Schema) -> dict[str, tuple[str, bool]]:
    return {field.name: (str(field.field_type), field.required) for field in schema.fields if not field.name.startswith("_")}


def _signature_of(contract: Contract, history: bool, schema: Schema) -> dict[str, tuple[str, bool]]:
    """As `_signature` of what the table would be; a column that came later stays optional."""
    had = _signature(schema)
    return {
        column.name: (str(field_type(column)), _required(column, history) and had.get(column.name, ("", False))[1])
        for column in contract.columns
    }

