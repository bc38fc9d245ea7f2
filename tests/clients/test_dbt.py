"""dbt with its Athena adapter: tables, a view, incremental models on Iceberg, and dbt's own tests of them."""

import json

import pytest
from pyiceberg.catalog import load_catalog

from tests.clients.conftest import python_with

pytestmark = pytest.mark.slow

PACKAGES = ("dbt-core>=1.10,<1.11", "dbt-athena>=1.10,<1.11")
FILES = {
    "dbt_project.yml": """
name: shop_models
version: "1.0"
profile: shop
model-paths: [models]
seed-paths: [seeds]
flags: {send_anonymous_usage_stats: false, use_colors: false}
""",
    "profiles.yml": """
shop:
  target: dev
  outputs:
    dev: {type: athena, s3_staging_dir: "s3://lake/results/", s3_data_dir: "s3://lake/tables/", s3_data_naming: schema_table_unique,
          region_name: us-east-1, schema: market, database: awsdatacatalog, threads: 2, poll_interval: 0.05, num_retries: 0}
""",
    "seeds/sale.csv": "id,product,amount,sold_on\n1,tea,3.50,2026-01-01\n2,ham,4.25,2026-01-02\n3,tea,3.50,2026-01-02\n",
    "models/by_product.sql": """
{{ config(materialized='table', table_type='iceberg', partitioned_by=['bucket(product, 4)'],
          table_properties={'optimize_rewrite_delete_file_threshold': '2'}) }}
select product, count(*) as sales, sum(cast(amount as decimal(12, 2))) as revenue from {{ ref('sale') }} group by product
""",
    "models/plain.sql": "{{ config(materialized='table', partitioned_by=['sold_on']) }} select id, product, sold_on from {{ ref('sale') }}",
    "models/dear.sql": "{{ config(materialized='view') }} select product, revenue from {{ ref('by_product') }} where revenue > 5",
    "models/latest.sql": """
{{ config(materialized='incremental', table_type='iceberg', incremental_strategy='merge', unique_key='id',
          on_schema_change='append_new_columns', delete_condition="src.product = 'gone'") }}
select id, {% if var('more', false) %} 'x' as note, {% endif %} {{ "'" ~ var('product', 'tea') ~ "'" }} as product, cast(current_timestamp as timestamp(6)) as at
from {{ ref('sale') }} {% if is_incremental() %} where id in (2, 3) union all select 9, {% if var('more', false) %} 'y', {% endif %} 'new', cast(current_timestamp as timestamp(6)) {% endif %}
""",
    "models/log.sql": """
{{ config(materialized='incremental', table_type='iceberg', incremental_strategy='append', partitioned_by=['day(at)']) }}
select id, cast(timestamp '2026-01-31 12:00:00' as timestamp(6)) as at from {{ ref('sale') }}
""",
    "models/models.yml": """
models:
  - name: by_product
    columns:
      - {name: product, data_tests: [not_null, unique, {accepted_values: {values: [tea, ham]}}]}
  - name: latest
    columns:
      - {name: id, data_tests: [unique, not_null]}
  - name: dear
    columns:
      - {name: product, data_tests: [{relationships: {to: ref('by_product'), field: product}}]}
""",
}

SCRIPT = """
import json
import sys
from dbt.cli.main import dbtRunner

for count, *command in json.loads(sys.argv[1]):
    done = dbtRunner().invoke(["--quiet", *command, "--profiles-dir", "project", "--project-dir", "project"])
    assert done.success, (command, done.exception, [(one.node.name, one.status, one.message) for one in done.result or []])
    assert [one.status in ("success", "pass") for one in done.result] == [True] * count, done.result
print("done")
"""


@pytest.fixture
def dbt(clients):
    for name, text in FILES.items():
        path = clients.folder / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    clients.aws.client("s3").create_bucket(Bucket="lake")
    (clients.folder / "script.py").write_text(SCRIPT)
    python = python_with("dbt", *PACKAGES) / "python"
    return lambda *commands: clients.run(python, "script.py", json.dumps(commands))  # one process: a start takes seconds


def test_a_project_is_built_twice_and_tested(clients, dbt):
    dbt((12, "build"), (2, "run", "--vars", "{product: gone}", "--select", "latest", "log"))
    access = {"region": "us-east-1", "access-key-id": "test", "secret-access-key": "test", "endpoint": clients.aws.address}
    catalog = load_catalog("glue", type="glue", **{f"{service}.{k}": v for service in ("s3", "glue") for k, v in access.items()})

    def rows(table, *columns):
        found = catalog.load_table(f"market.{table}").scan().to_arrow().select(columns).to_pylist()
        return sorted(tuple(str(value) for value in row.values()) for row in found)

    assert rows("by_product", "product", "sales", "revenue") == [("ham", "1", "4.25"), ("tea", "2", "7.00")]
    assert rows("latest", "id", "product") == [("1", "tea"), ("9", "new")]
    assert rows("log", "id") == [("1",), ("1",), ("2",), ("2",), ("3",), ("3",)]
    dbt((1, "run", "--vars", "{more: true}", "--select", "latest"), (1, "run", "--full-refresh", "--select", "log"))
    assert rows("latest", "id", "product", "note") == [("1", "tea", "None"), ("2", "tea", "x"), ("3", "tea", "x"), ("9", "new", "y")]
    assert rows("log", "id") == [("1",), ("2",), ("3",)]
    tables = {table["Name"] for table in clients.aws.client("glue").get_tables(DatabaseName="market")["TableList"]}
    assert tables == {"sale", "by_product", "plain", "dear", "latest", "log"}
