"""The HTTP clients of all protocols: key binding, rate limits and read deadlines."""
