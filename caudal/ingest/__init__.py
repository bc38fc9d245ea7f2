"""store → stream → transform → writer: from an item that changed to a file in the lake."""
