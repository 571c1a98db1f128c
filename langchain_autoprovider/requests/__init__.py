"""Requests: tools, structured output, and what a request needs from a route."""
