"""One OpenAI-compatible server: what is sent, when it is sent again, what its words mean."""

import asyncio
import os
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import httpx

from pipelines.labelling.teachers.openai_response import (
    completion_of,
    may_pass,
    read_completion,
    retry_after,
    shorten,
    tokens_of,
    was_refused,
)
from pipelines.labelling.teachers.protocol import Answer, TeacherError
from pipelines.run.params import OpenAITeacher as OpenAIParams

LONGEST_PAUSE = 60.0  # seconds between two tries, where the server names none
LONGEST_OBEYED = 600.0  # seconds that the server may name; the run ends where it wants more
CONNECT_SECONDS = 10.0
HOPELESS = 5  # questions refused before one is answered

Message = Mapping[str, Any]
Form = Mapping[str, Any]


def check_address(base_url: str) -> None:
    """Refuse what is no HTTP address, and one that carries a secret.

    Raises:
        SystemExit: It is one of these.
    """
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        msg = f"teacher.openai.base_url is no address: {error}"
        raise SystemExit(msg) from error
    if url.scheme not in ("http", "https") or not url.host:
        msg = f"teacher.openai.base_url is {base_url!r}; expected http://host:port/v1 or the like"
        raise SystemExit(msg)
    if url.userinfo or url.query:
        msg = (
            "teacher.openai.base_url holds a user, a password or a query, which logs would show;"
            " the key belongs in the environment variable that teacher.openai.key_variable names"
        )
        raise SystemExit(msg)


class Endpoint:
    """Asks for chat completions, patiently; one for each run, inside one event loop."""

    def __init__(self, params: OpenAIParams, pause: float) -> None:
        """Take the key from the environment; nothing is sent yet.

        Args:
            params: Section `teacher.openai`.
            pause: Seconds before the first retry, about; each further pause is twice as long.

        Raises:
            TeacherError: The key cannot be a key.
        """
        self._params = params
        self._pause = pause
        self._url = f"{params.base_url.rstrip('/')}/chat/completions"
        self._key = _key(params.key_variable)
        self._structured = params.structured
        self._limit = "max_tokens"
        self._answered, self._refusals = False, 0
        self._client = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            timeout=httpx.Timeout(params.timeout, connect=min(params.timeout, CONNECT_SECONDS)),
            limits=httpx.Limits(max_connections=params.concurrency),
        )

    async def close(self) -> None:
        """Hang up."""
        await self._client.aclose()

    async def chat(self, messages: Sequence[Message], form: Form | None) -> Answer:
        """The model's reply.

        Args:
            messages: The conversation so far.
            form: What the reply is to look like, as `ranking_form` has it; None: free text.

        Returns:
            The reply; a fault where the server refuses this question, or answers without a reply.

        Raises:
            TeacherError: The server cannot be reached, or refuses whatever it is asked.
        """
        started = time.monotonic()
        faults: list[str] = []
        response = await self._negotiate(messages, form, faults)
        self._expect_some_welcome(response)
        answer = self._read(response)
        return replace(answer, seconds=time.monotonic() - started, retried=tuple(faults))

    async def _negotiate(
        self, messages: Sequence[Message], form: Form | None, faults: list[str]
    ) -> httpx.Response:
        """Ask; where the server refuses a parameter that can be put otherwise, ask once more.

        What works is kept for the rest of the run; a refusal that stays had another reason.
        """
        limit, used = self._limit, form if self._structured else None
        response = await self._send(self._body(messages, used, limit), faults)
        if was_refused(response) and limit == "max_tokens" and _NEWER_LIMIT in response.text:
            limit = _NEWER_LIMIT
            response = await self._send(self._body(messages, used, limit), faults)
        if was_refused(response) and used:
            used = None
            response = await self._send(self._body(messages, used, limit), faults)
        if response.is_success:
            self._structured, self._limit = self._structured and used == form, limit
        return response

    def _body(self, messages: Sequence[Message], form: Form | None, limit: str) -> dict[str, Any]:
        body = {
            "model": self._params.model,
            "messages": messages,
            limit: self._params.max_output_tokens,
        }
        if self._params.temperature is not None:
            body["temperature"] = self._params.temperature
        if form:
            body["response_format"] = form
        return body

    async def _send(self, body: Mapping[str, Any], faults: list[str]) -> httpx.Response:
        """Send until the server takes it or refuses it for good; what goes wrong is noted."""
        tries = self._params.max_retries + 1
        for number in range(tries):
            try:
                # httpx counts each read for itself; a server that trickles would hold on for ever.
                async with asyncio.timeout(self._params.timeout):
                    response = await self._client.post(self._url, json=body)
            except (TimeoutError, httpx.TimeoutException):
                trouble, named = f"no answer within {self._params.timeout:g} s", None
            except httpx.RequestError as error:
                trouble, named = f"{type(error).__name__}: {self._clean(str(error))}", None
            else:
                if not may_pass(response):
                    self._expect_welcome(response)
                    return response
                trouble, named = self._words(response), retry_after(response)
            if named is not None and named > LONGEST_OBEYED:
                raise TeacherError(self._gave_up(trouble, f"it asks to wait {named:.0f} s"))
            faults.append(trouble)
            if number + 1 < tries:
                await asyncio.sleep(max(named or 0.0, self._backoff(number)))
        raise TeacherError(self._gave_up(trouble, f"{tries} tries"))

    def _backoff(self, number: int) -> float:
        """Seconds to wait after a try: twice as many each time, by chance up to half fewer."""
        return min(self._pause * 2.0**number, LONGEST_PAUSE) * random.uniform(0.5, 1)  # noqa: S311

    def _expect_welcome(self, response: httpx.Response) -> None:
        """Refuse to go on where the server would refuse every question."""
        if response.status_code in (401, 403):
            variable = self._params.key_variable
            held = "holds no valid key" if self._key else "is not set"
            msg = (
                f"the teacher at {self._url} wants another key ({self._words(response)}): the"
                f" environment variable {variable} {held}; set it and run again, nothing is lost"
            )
            raise TeacherError(msg)
        if response.status_code == 402:
            msg = (
                f"the teacher at {self._url} wants to be paid first ({self._words(response)});"
                " nothing is lost: what it has answered is kept, run again when it is"
            )
            raise TeacherError(msg)
        if response.status_code in (404, 405) or response.is_redirect:
            msg = (
                f"the teacher at {self._url} knows no model {self._params.model}, or the address is"
                f" wrong ({self._words(response)}): set teacher.openai.model and base_url (which"
                " mostly ends in /v1) as the server has them, and run again"
            )
            raise TeacherError(msg)

    def _expect_some_welcome(self, response: httpx.Response) -> None:
        """Refuse to go on where question after question is refused: it must be the server."""
        self._answered = self._answered or response.is_success
        self._refusals += not response.is_success
        if not self._answered and self._refusals >= HOPELESS:
            msg = (
                f"the teacher at {self._url} refused the first {HOPELESS} questions"
                f" ({self._words(response)}): does it take {self._params.model}, several pictures a"
                " call and what teacher.openai asks for? mend that and run again"
            )
            raise TeacherError(msg)

    def _gave_up(self, trouble: str, why: str) -> str:
        return (
            f"the teacher at {self._url} did not answer ({why}; last: {trouble});"
            " nothing is lost: what it has answered is kept, run again when it is back"
        )

    def _words(self, response: httpx.Response) -> str:
        hint = (
            " without a chat completion (is teacher.openai.base_url that of a chat endpoint?)"
            if response.is_success
            else ""
        )
        return f"HTTP {response.status_code}{hint}: {self._clean(response.text)}"

    def _clean(self, text: str) -> str:
        """The start of a server's words on one line, without the key, which some of them echo."""
        hidden = text.replace(self._key, "[key]") if self._key else text
        return shorten(hidden)

    def _read(self, response: httpx.Response) -> Answer:
        content = completion_of(response) if response.is_success else None
        if content is None:
            return Answer("", self._words(response))
        raw, fault = read_completion(content, self._params.max_output_tokens)
        taken, brought = (
            tokens_of(content, "prompt_tokens"),
            tokens_of(content, "completion_tokens"),
        )
        return Answer(raw, self._clean(fault), taken, brought)


_NEWER_LIMIT = "max_completion_tokens"  # what hosted reasoning models take in its stead


def _key(variable: str) -> str:
    key = os.environ.get(variable, "").strip()
    # The errors of HTTP clients repeat a header that they cannot send.
    if not (key.isascii() and key.isprintable()):
        msg = f"the environment variable {variable} holds what cannot be a key: not plain ASCII"
        raise TeacherError(msg)
    return key


def ranking_form(count: int) -> Form:
    """What OpenAI's structured output takes; it can tell everything but that none is repeated."""
    numbers = {"type": "integer", "enum": list(range(1, count + 1))}
    ranking = {"type": "array", "items": numbers, "minItems": count, "maxItems": count}
    return object_form("ranking", {"ranking": ranking})


def object_form(name: str, properties: Mapping[str, Any]) -> Form:
    """The form of a JSON object with these properties, all of them required."""
    return {
        "type": "json_schema",
        "json_schema": {"name": name, "strict": True, "schema": object_schema(properties)},
    }


def object_schema(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON schema of an object with these properties and no other."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }
