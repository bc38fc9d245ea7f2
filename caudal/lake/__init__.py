"""files → catalog → query: what the writer left, what it means, and SQL over it."""
