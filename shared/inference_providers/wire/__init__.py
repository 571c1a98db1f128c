"""The OpenAI protocols without I/O, and the HTTP clients under them. Loads no SDK."""
