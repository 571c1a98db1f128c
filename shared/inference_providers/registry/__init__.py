"""The registry document: its schema, loading, validation, and the lookup of models in it."""
