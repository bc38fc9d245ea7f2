"""Athena: SQL over the pipeline's tables and over those that the Data Catalog says are in S3."""
