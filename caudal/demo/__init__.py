"""The demo: a grocer's year of purchases, from the operational store to recommendations."""
