"""Delivery to Iceberg tables of the Data Catalog."""
