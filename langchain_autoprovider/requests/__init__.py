"""What is sent: tools, structured output, and what a request needs of a route."""
