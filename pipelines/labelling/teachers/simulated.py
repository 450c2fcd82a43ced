"""The simulated teacher: it knows the personas' wants and is faulty on purpose.

It ranks by utility (wants x attributes) plus Gumbel noise, which makes its orders Plackett-Luce
distributed with exp(utility / noise) as worth (Yellott 1977), with a bonus for the places presented
first and a share of replies that are no ranking. A reply depends on the request alone.
"""

import hashlib
import math
import struct
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from pipelines.labelling.teachers.protocol import (
    Answer,
    Batches,
    Question,
    Request,
    Session,
    content_sha256,
    request_sha256,
)
from pipelines.labelling.teachers.replies import write_reply
from pipelines.run.params import SimulatedTeacher as SimulatedParams
from retrieval.storage.schema import PersonaRow, ProductRow
from retrieval.wants import facts, utility

_TOGETHER = 512  # answers at once: each time the journal goes to disk


class SimulatedTeacher:
    """Ranks for personas that have wants, products that have attributes."""

    name = "simulated"
    remedy = ""

    def __init__(
        self,
        params: SimulatedParams,
        seed: int,
        personas: Sequence[PersonaRow],
        products: Sequence[ProductRow],
    ) -> None:
        """Note who wants what, and what there is.

        Args:
            params: Noise, position bias, share of malformed replies, latency.
            seed: Another seed is another teacher of the same kind.
            personas: Rows of the personas table.
            products: Rows of the products table.

        Raises:
            SystemExit: A persona wants nothing that any product has: it cannot be simulated.
        """
        self._params = params
        self.settings = {"seed": seed, **params.model_dump(exclude={"latency"})}
        self._wants = {persona["persona_id"]: persona["wants"] for persona in personas}
        self._attributes = {product["product_id"]: product["attributes"] for product in products}
        self._facts = {product: facts(has) for product, has in self._attributes.items()}
        # A request has digests of these in their place: a knockout makes 400,000 requests.
        self._wants_digest = {key: content_sha256(value) for key, value in self._wants.items()}
        self._has_digest = {key: content_sha256(value) for key, value in self._attributes.items()}
        there_is = {fact for has in self._facts.values() for fact in has}
        blank = [
            persona
            for persona, wants in self._wants.items()
            if not any(weight and want in there_is for want, weight in wants.items())
        ]
        if blank:
            msg = (
                f"the simulated teacher got {len(blank)} of {len(personas)} personas whose wants"
                f" match no product ({', '.join(blank[:5])}); give them wants of the form"
                " attribute=value, or take another teacher.kind"
            )
            raise SystemExit(msg)

    def content(self, request: Request) -> Any:
        """Who asks about what; the products' pictures are never looked at, their attributes are."""
        shown = [(product, self._has_digest[product]) for product in request.presented]
        return [request.persona_id, self._wants_digest[request.persona_id], shown]

    def expected_tokens(self, request: Request) -> tuple[float, float]:  # noqa: ARG002
        """None."""
        return 0.0, 0.0

    def open(self) -> AbstractContextManager[Session]:
        """Questions are answered many at once; one by one where there is a latency."""
        return nullcontext(Batches(1 if self._params.latency else _TOGETHER, self._answer_batch))

    def _answer_batch(self, questions: Sequence[Question]) -> list[Answer]:
        time.sleep(self._params.latency)
        return [self._answer(question) for question in questions]

    def _answer(self, question: Question) -> Answer:
        # Asked again with a complaint, it draws anew.
        digest = request_sha256(self, question.request) + question.complaint
        presented = question.request.presented
        *noises, fate = _uniforms(digest, len(presented) + 1)
        perceived = self._perceived(question.request.persona_id, presented, noises)
        order = sorted(range(len(presented)), key=perceived.__getitem__, reverse=True)
        if fate < self._params.malformed_rate:
            order = order[1:]  # half a reply
        return Answer(write_reply(order), seconds=self._params.latency)

    def _perceived(
        self, persona_id: str, presented: Sequence[str], noises: Sequence[float]
    ) -> list[float]:
        """Utility as the teacher sees it: plus Gumbel noise, plus a bonus that falls by place."""
        wants = self._wants[persona_id]
        last = max(len(presented) - 1, 1)
        return [
            utility(wants, self._facts[product])
            + self._params.position_bias * (1 - place / last)
            - self._params.noise * math.log(-math.log(noise))
            for place, (product, noise) in enumerate(zip(presented, noises, strict=True))
        ]


def _uniforms(digest: str, count: int) -> list[float]:
    """Numbers in (0, 1), both ends excluded, that follow from the digest, 52 bits each."""
    raw = hashlib.shake_256(digest.encode()).digest(8 * count)
    return [(bits[0] >> 12) * 2.0**-52 + 2.0**-53 for bits in struct.iter_unpack("<Q", raw)]
