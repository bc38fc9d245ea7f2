"""DynamoDB over the store: a write and its change are one durable transaction."""
