"""Newer registries: fetched safely, verified, cached, and limited in what they may change."""
