"""What Athena does with Iceberg tables; imported when a statement first names one."""
