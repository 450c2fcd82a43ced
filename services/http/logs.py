"""The service's log: a line of JSON for what fails or is slow, each with its request's id."""

import logging
import os
import sys
import traceback
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from registry.errors import without_password

SETTING = "KINDRED_LOG_QUERIES"
PACKAGES = ("services", "registry", "retrieval")


@dataclass
class Facts:
    """What is known of the request that is being answered."""

    request_id: str
    query: str | None = None


FACTS: ContextVar[Facts | None] = ContextVar("facts", default=None)


def queries_wanted() -> bool:
    """Whether the log may hold what people look for; by default it does not."""
    return os.environ.get(SETTING) == "1"


def note_query(text: str) -> None:
    """Remember what the request that is being answered looks for."""
    if facts := FACTS.get():
        facts.query = text


def told(error: BaseException) -> dict[str, Any]:
    """An error for the log: its kind and place; its words only where queries may be logged.

    The words of an error may quote what somebody looked for.
    """
    if queries_wanted():
        return {"error": without_password("".join(traceback.format_exception(error)))}
    frames = traceback.extract_tb(error.__traceback__)
    where = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return {"error": type(error).__name__, "where": where}


class _Formatter(JsonFormatter):
    """Shows no password of an address."""

    def formatException(self, ei: Any) -> str:
        return without_password(str(super().formatException(ei)))


class _RequestFilter(logging.Filter):
    """Gives every line its request."""

    def filter(self, record: logging.LogRecord) -> bool:
        if facts := FACTS.get():
            record.request_id = facts.request_id
            if facts.query is not None and queries_wanted():
                record.query = facts.query
        return True


def configure_logs() -> None:
    """Write this program's lines to standard error as JSON; other libraries' stay as they are."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        _Formatter(
            "{asctime}{levelname}{name}{message}",
            style="{",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
        )
    )
    handler.addFilter(_RequestFilter())
    for package in PACKAGES:
        logger = logging.getLogger(package)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.INFO)
    # pymilvus asks for what Milvus Lite's server lacks, and goes on: nobody's error.
    logging.getLogger("grpc._server").setLevel(logging.CRITICAL)
