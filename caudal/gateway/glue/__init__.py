"""The Glue Data Catalog: databases, tables with their versions, partitions, and a crawler."""
