"""Messages: history adapted to the next provider, content blocks, streaming."""
