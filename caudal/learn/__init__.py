"""dataset → models → evaluate → trainer → registry: from a snapshot to a versioned model."""
