"""A filter that keeps keys out of the logs of HTTP libraries and SDKs.

At level DEBUG, httpcore logs the head of every response, and some SDKs log events that they cannot
parse. A provider may echo the key in either.
"""

from __future__ import annotations

import logging

from inference_providers.wire.exchange import current_exchange

__all__ = ["hide_keys_in_logs", "httpcore_loggers"]


class _KeyFilter(logging.Filter):
    """Removes from a record the keys that the running attempt has sent."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Remove keys from the record; whether to log it, which is always true."""
        if (exchange := current_exchange()) is not None:
            message = record.getMessage()
            scrubbed = exchange.scrub(message)
            if scrubbed != message:
                record.msg, record.args = scrubbed, None
        return True


_FILTER = _KeyFilter()


def hide_keys_in_logs(*loggers: str) -> None:
    """Remove sent keys from the records of these loggers; their child loggers are not covered."""
    for name in loggers:
        logging.getLogger(name).addFilter(_FILTER)


def httpcore_loggers(library: str) -> tuple[str, ...]:
    """Return the loggers of `httpcore`, or of its successor `httpcore2`."""
    modules = ("connection", "http11", "http2", "proxy", "socks")
    return tuple(f"{library}.{module}" for module in modules)
