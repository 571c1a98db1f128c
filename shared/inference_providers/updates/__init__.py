"""Fetching a newer registry without letting it redirect a key."""
