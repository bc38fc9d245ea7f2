"""Iceberg tables, made through Athena and seen by PyIceberg."""

from pyiceberg.catalog import load_catalog


def make(sql, name, columns="id int, name string, price decimal(38,10), at timestamp, day date", partitioned="", **properties):
    given = {"table_type": "ICEBERG", **properties}
    told = ", ".join(f"'{key}'='{value}'" for key, value in given.items())
    sql.run(f"CREATE TABLE {name} ({columns}) {partitioned} LOCATION 's3://data/{name}/' TBLPROPERTIES ({told})")


def pyiceberg(sql):
    access = {"region": "us-east-1", "access-key-id": "test", "secret-access-key": "test", "endpoint": sql.aws.address}
    return load_catalog("other", type="glue", **{f"{service}.{k}": v for service in ("s3", "glue") for k, v in access.items()})
