"""What an OpenAI-compatible server's response says: whether to try again, and the reply in it."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from pipelines.labelling.teachers.replies import begins_with_answer

SHOWN = 200  # characters of a reply that a message repeats
LONGEST_MEANT = 366 * 86_400.0  # seconds; who names more names no pause (a time, or milliseconds)

_CUT = ("length", "max_tokens")  # as `finish_reason`


def was_refused(response: httpx.Response) -> bool:
    """Whether the server refused the request as such, perhaps for a parameter."""
    return response.status_code in (400, 422)


def may_pass(response: httpx.Response) -> bool:
    """Whether the same request may be answered later: the server is busy, or at fault.

    A 200 that is no completion is its fault as a 5xx is: gateways pass on errors that way.
    """
    if response.is_success:
        return completion_of(response) is None
    return response.status_code in (408, 429) or response.status_code >= 500


def completion_of(response: httpx.Response) -> Mapping[str, Any] | None:
    """The body as a chat completion with a message.

    None where it is no JSON (a page, an event stream), carries an error, or has no choice.
    """
    try:
        content = response.json()
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict) or content.get("error"):
        return None
    choices = content.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
        return None
    return None if choice.get("error") or choice.get("finish_reason") == "error" else content


def retry_after(response: httpx.Response) -> float | None:
    """Seconds from 0 that the server asks to wait, given as such or as a date.

    None where it asks for none, or where what it says is no pause.
    """
    value = response.headers.get("Retry-After", "").strip()
    try:
        if value.replace(".", "", 1).isdecimal():
            seconds = float(value)
        else:
            date = parsedate_to_datetime(value)
            date = date if date.tzinfo else date.replace(tzinfo=UTC)
            seconds = max(0.0, (date - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
    return seconds if seconds <= LONGEST_MEANT else None


def read_completion(content: Mapping[str, Any], max_output_tokens: int) -> tuple[str, str]:
    """The first choice's text, and why it is none or may be half of one.

    Some servers put the whole reply of a thinking model beside an empty content, as its thoughts.
    It is taken where it is nothing but an answer: in thoughts themselves are drafts.

    Args:
        content: A completion, as `completion_of` gives it.
        max_output_tokens: The limit that was asked for.
    """
    choice = content["choices"][0]
    message = choice["message"]
    text = _text(message.get("content"))
    thoughts = _text(message.get("reasoning_content")) or _text(message.get("reasoning"))
    if str(choice.get("finish_reason")).casefold() in _CUT:
        where = "" if text else ", before the answer began"
        return text, f"cut at max_output_tokens: {max_output_tokens}{where}"
    if not text and begins_with_answer(thoughts):
        return thoughts, ""
    if not text and thoughts:
        return "", f"the reply has thoughts and no answer: {thoughts}"
    return text, "" if text else f"the reply has no content: {json.dumps(content)}"


def tokens_of(content: Mapping[str, Any], name: str) -> int:
    """A number of tokens from the completion's `usage`; 0 where it says none."""
    usage = content.get("usage")
    tokens = usage.get(name) if isinstance(usage, dict) else None
    return tokens if type(tokens) is int and tokens > 0 else 0


def shorten(text: str) -> str:
    """The start of a text, on one line."""
    return " ".join(text.split())[:SHOWN]


def _text(said: Any) -> str:
    """A text, or a list of parts of which some are texts; "" for others, or where it is blank."""
    parts = said if isinstance(said, list) else [{"type": "text", "text": said}]
    shown = [part.get("text") for part in parts if isinstance(part, dict) and _is_text(part)]
    texts = [text for text in shown if isinstance(text, str)]
    # JSON may hold half a surrogate pair, which no file takes.
    text = "".join(texts).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text if text.strip() else ""


def _is_text(part: Mapping[str, Any]) -> bool:
    return part.get("type") == "text"
