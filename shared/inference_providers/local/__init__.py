"""Model servers on this machine, and the embedded model."""
