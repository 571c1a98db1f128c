"""What a failure means: an exception or an unusable answer becomes a failure class."""
