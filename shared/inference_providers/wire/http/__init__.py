"""The HTTP clients of OpenAI's protocols, and what they share: proxies, TLS, limits, errors."""
