"""OpenAI's protocols without I/O, and the HTTP clients beneath them. Loads no SDK."""
