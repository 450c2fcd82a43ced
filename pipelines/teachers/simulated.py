"""The simulated teacher: it knows the personas' wants and is faulty on purpose.

It ranks by utility (wants x attributes) plus Gumbel noise, which makes its orders Plackett-Luce
distributed with exp(utility / noise) as worth (Yellott 1977), with a bonus for the places presented
first and a share of replies that are no ranking. A reply depends on the request alone.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

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
        self._settings: dict[str, object] = {"seed": seed, **params.model_dump()}
        attributes = [product["attributes"] for product in products]
        self._column = {product["product_id"]: i for i, product in enumerate(products)}
        self._utility = {
            persona["persona_id"]: utilities(persona["wants"], attributes) for persona in personas
        }
        blank = [persona for persona, utility in self._utility.items() if not utility.any()]
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
        count = len(request.presented)
        uniform = _uniforms(digest, count + 1)
        if uniform[count] < self._params.malformed_rate:
            answer = request.presented[:-1]  # half a reply
        else:
            columns = [self._column[product] for product in request.presented]
            first_is_best = np.linspace(self._params.position_bias, 0, count)
            gumbel = -np.log(-np.log(uniform[:count]))
            utility = self._utility[request.persona_id][columns]
            perceived = utility + first_is_best + self._params.noise * gumbel
            answer = tuple(request.presented[place] for place in np.argsort(-perceived))
        return Reply(digest, as_permutation(answer, request.presented))


def _uniforms(digest: str, count: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Numbers in (0, 1) that follow from the digest, 53 bits each."""
    raw = hashlib.shake_256(digest.encode()).digest(8 * count)
    bits = np.frombuffer(raw, dtype="<u8") >> np.uint64(11)
    return (bits.astype(np.float64) + 0.5) / 2.0**53
