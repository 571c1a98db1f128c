"""The registry document: its schema, loading, validation and lookup."""
