"""The simulated teacher: it knows the personas' wants and is faulty on purpose.

It ranks by utility (wants x attributes) plus Gumbel noise, which makes its orders Plackett-Luce
distributed with exp(utility / noise) as worth (Yellott 1977), with a bonus for the places presented
first and a share of replies that are no ranking. A reply depends on the request alone.
"""

import hashlib
import json
import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.params import Teacher as TeacherParams
from pipelines.teachers.protocol import Reply, Request, as_permutation, request_sha256
from retrieval.wants import utilities


class SimulatedTeacher:
    """Ranks for personas that have wants, products that have attributes."""

    name = "simulated"

    def __init__(
        self,
        params: TeacherParams,
        seed: int,
        personas: Sequence[Mapping[str, Any]],
        products: Sequence[Mapping[str, Any]],
    ) -> None:
        """Work out every persona's utility of every product.

        Args:
            params: Noise, position bias, share of malformed replies.
            seed: Another seed is another teacher of the same kind.
            personas: Rows of the personas table.
            products: Rows of the products table.

        Raises:
            SystemExit: A persona wants nothing that any product has: it cannot be simulated.
        """
        self._params = params
        self._settings = json.dumps({"seed": seed, **params.model_dump()}, sort_keys=True)
        attributes = [product["attributes"] for product in products]
        self._column = {product["product_id"]: i for i, product in enumerate(products)}
        self._utility = {
            persona["persona_id"]: utilities(persona["wants"], attributes).tolist()
            for persona in personas
        }
        blank = [persona for persona, utility in self._utility.items() if not any(utility)]
        if blank:
            msg = (
                f"the simulated teacher got {len(blank)} of {len(personas)} personas whose wants"
                f" match no product ({', '.join(blank[:5])}); give them wants of the form"
                " attribute=value, or take another teacher.kind"
            )
            raise SystemExit(msg)

    def rank(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply a request, in order."""
        return [self._reply(request) for request in requests]

    def _reply(self, request: Request) -> Reply:
        digest = request_sha256(self.name, self._settings, request)
        presented = request.presented
        *noises, fate = _uniforms(digest, len(presented) + 1)
        if fate < self._params.malformed_rate:
            answer = presented[:-1]  # half a reply
        else:
            perceived = self._perceived(request.persona_id, presented, noises)
            answer = tuple(sorted(presented, key=perceived.__getitem__, reverse=True))
        return Reply(digest, as_permutation(answer, presented))

    def _perceived(
        self, persona_id: str, presented: Sequence[str], noises: Sequence[float]
    ) -> dict[str, float]:
        """Utility as the teacher sees it: plus Gumbel noise, plus a bonus that falls by place."""
        utility = self._utility[persona_id]
        last = max(len(presented) - 1, 1)
        return {
            product: utility[self._column[product]]
            + self._params.position_bias * (1 - place / last)
            - self._params.noise * math.log(-math.log(noise))
            for place, (product, noise) in enumerate(zip(presented, noises, strict=True))
        }


def _uniforms(digest: str, count: int) -> list[float]:
    """Numbers in (0, 1), both ends excluded, that follow from the digest, 52 bits each."""
    raw = hashlib.shake_256(digest.encode()).digest(8 * count)
    return [(bits[0] >> 12) * 2.0**-52 + 2.0**-53 for bits in struct.iter_unpack("<Q", raw)]
