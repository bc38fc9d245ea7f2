"""Iceberg tables of the Data Catalog, whose files lie in S3: what Athena and Firehose share of them."""
