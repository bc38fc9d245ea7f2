"""PyAthena: its cursors and its SQLAlchemy dialect."""

import pytest

from tests.clients.conftest import python_with

pytestmark = pytest.mark.slow

SCRIPT = """
from decimal import Decimal

import boto3
from pyathena import connect
from pyathena.cursor import DictCursor
from pyathena.pandas.cursor import PandasCursor
from sqlalchemy import create_engine, text

boto3.client("s3").create_bucket(Bucket="lake")
boto3.client("glue").create_database(DatabaseInput={"Name": "market"})
connection = connect(s3_staging_dir="s3://lake/results/", region_name="us-east-1", schema_name="market")
cursor = connection.cursor()
cursor.execute("CREATE TABLE sale WITH (format = 'PARQUET', external_location = 's3://lake/sale/') AS "
               "SELECT * FROM (VALUES (1, 'ann', DECIMAL '1.10'), (2, NULL, DECIMAL '2.20')) AS t (id, who, amount)")
question = "SELECT id, who, amount FROM sale ORDER BY id"
rows = [(1, "ann", Decimal("1.10")), (2, None, Decimal("2.20"))]
assert cursor.execute(question).fetchall() == rows
assert [column[:2] for column in cursor.description] == [("id", "integer"), ("who", "varchar"), ("amount", "decimal")], cursor.description
assert cursor.execute("SELECT who FROM sale WHERE id = %(id)s", {"id": 1}).fetchone() == ("ann",)
assert connection.cursor(DictCursor).execute(question).fetchone() == {"id": 1, "who": "ann", "amount": Decimal("1.10")}
assert list(connection.cursor(PandasCursor).execute(question).as_pandas().id) == [1, 2]
try:
    cursor.execute("SELECT none FROM sale")
    raise SystemExit("a column that is not there was found")
except Exception as error:
    assert "COLUMN_NOT_FOUND" in str(error), error
engine = create_engine("awsathena+rest://:@athena.us-east-1.amazonaws.com:443/market?s3_staging_dir=s3://lake/results/")
with engine.connect() as opened:
    assert [tuple(row) for row in opened.execute(text(question))] == rows
print("done")
"""


def test_cursors_and_sqlalchemy_ask_athena(clients):
    python = python_with("pyathena", "pyathena[pandas,sqlalchemy]>=3") / "python"
    (clients.folder / "script.py").write_text(SCRIPT)
    assert clients.run(python, "script.py").strip().endswith("done")
