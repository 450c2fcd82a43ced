"""From what a teacher said to a ranking, strictly: a full permutation or a complaint."""

import json
import re
from collections import Counter
from collections.abc import Sequence

_FENCE = re.compile(r"\A\s*```(?:json)?\s*(.*?)\s*```\s*\Z", re.DOTALL)


def write_reply(places: Sequence[int]) -> str:
    """The reply that ranks places (0 = presented first), best first: what `read_reply` reads."""
    return json.dumps({"ranking": [place + 1 for place in places]})


def read_reply(raw: str, presented: int) -> tuple[tuple[int, ...] | None, str]:
    """The places (0 = presented first), best first, or None and a complaint for the teacher.

    A reply is one JSON object `{"ranking": [...]}` of the pictures' numbers from 1, alone or in a
    code fence; nothing is guessed from prose.

    Args:
        raw: The reply, word for word.
        presented: How many pictures there were.
    """
    fenced = _FENCE.match(raw)
    try:
        content = json.loads(fenced.group(1) if fenced else raw)
    except (json.JSONDecodeError, RecursionError):
        return None, "the reply is not JSON"
    if not isinstance(content, dict) or not isinstance(content.get("ranking"), list):
        return None, 'the reply is no JSON object with a list "ranking"'
    ranking = content["ranking"]
    if not all(type(number) is int for number in ranking):
        return None, "the ranking holds something other than whole numbers"
    if sorted(ranking) == list(range(1, presented + 1)):
        return tuple(number - 1 for number in ranking), ""
    wanted, got = set(range(1, presented + 1)), Counter[int](ranking)
    faults = [
        f"{words} {', '.join(map(str, sorted(numbers)))}"
        for words, numbers in (
            ("it lacks", wanted - set(got)),
            ("it repeats", {n for n, times in got.items() if n in wanted and times > 1}),
            ("it names pictures that were not shown:", set(got) - wanted),
        )
        if numbers
    ]
    return None, f"the ranking is no permutation of 1 to {presented}: {'; '.join(faults)}"
