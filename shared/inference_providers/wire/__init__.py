"""OpenAI's protocols without I/O; `http` has the HTTP clients beneath them. Loads no SDK."""
