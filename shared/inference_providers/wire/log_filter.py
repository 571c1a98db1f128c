"""Keys in the logs of the libraries below us.

At level DEBUG, httpcore logs the head of every response, and some SDKs log what they cannot read.
A provider may echo the key there.
"""

from __future__ import annotations

import logging

from inference_providers.wire.exchange import current_exchange

__all__ = ["hide_keys_in_logs", "httpcore_loggers"]


class _KeyFilter(logging.Filter):
    """Removes the keys that the running attempt has sent from a record."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return that the record is logged, without keys."""
        if (exchange := current_exchange()) is not None:
            message = record.getMessage()
            scrubbed = exchange.scrub(message)
            if scrubbed != message:
                record.msg, record.args = scrubbed, None
        return True


_FILTER = _KeyFilter()


def hide_keys_in_logs(*loggers: str) -> None:
    """Remove sent keys from what is logged with these loggers; others below them do not count."""
    for name in loggers:
        logging.getLogger(name).addFilter(_FILTER)


def httpcore_loggers(library: str) -> tuple[str, ...]:
    """Return the loggers of `httpcore`, or of its successor `httpcore2`."""
    modules = ("connection", "http11", "http2", "proxy", "socks")
    return tuple(f"{library}.{module}" for module in modules)
