"""Canonical model names: what the ids of different providers have in common."""
