"""What a failure means: exceptions and malformed answers become failure classes."""
