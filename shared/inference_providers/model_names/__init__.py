"""Canonical model names: text rules and an alias table."""
