"""HTTP clients shared by the protocols."""
