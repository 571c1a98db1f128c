"""Removing a key from texts, values, exceptions and the frames of tracebacks."""
