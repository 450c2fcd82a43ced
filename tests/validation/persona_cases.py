"""Personas for the gate, sound and faulty."""

from pathlib import Path

from retrieval.titles import Titles
from validation.limits import PersonaLimits
from validation.personas import Wishes, check_personas

LIMITS = PersonaLimits(
    min_personas=10, min_split=1, max_words=20, max_interest_share=0.5, max_naming_share=0.1
)
SPLITS = ("train", "train", "val", "test")


def people(count: int, text: str = "a wish of number {}", split: str = "", interest: str = "i{}"):
    """Personas of several interests, in all splits."""
    return [
        {
            "persona_id": f"p{n}",
            "text": text.format(n),
            "split": split or SPLITS[n % len(SPLITS)],
            "wants": {},
            "paraphrase": f"in other words {n}" if n % 2 else "",
            "facets": {"interest": interest.format(n % 3)} if interest else {},
        }
        for n in range(count)
    ]


def judge(rows, folder: Path, limits: PersonaLimits = LIMITS, titles: Titles | None = None):
    """What the gate says."""
    wishes = Wishes(rows, titles or Titles(["Red mug"]))
    return check_personas(wishes, limits, folder / "docs", {})
