"""What a model is asked: texts in files, known by their digests."""

import hashlib
import string
from dataclasses import dataclass
from pathlib import Path

_PROMPT_FIELDS = frozenset({"persona", "count"})
_COMPLAINT_FIELDS = frozenset({"complaint", "count"})


@dataclass(frozen=True)
class Prompts:
    """The prompt, and what is said after a reply that was no permutation."""

    prompt: str
    complaint: str

    @property
    def digests(self) -> dict[str, str]:
        """Digests of both texts, for a teacher's settings."""
        return {
            "prompt_sha256": hashlib.sha256(self.prompt.encode()).hexdigest(),
            "complaint_sha256": hashlib.sha256(self.complaint.encode()).hexdigest(),
        }

    def ask(self, persona: str, count: int) -> str:
        """The prompt for a persona's text, braces and all, and `count` pictures."""
        return self.prompt.format(persona=persona, count=count)

    def complain(self, complaint: str, count: int) -> str:
        """What is said after a reply of which `complaint` tells the fault."""
        return self.complaint.format(complaint=complaint, count=count)


def read_prompts(prompt: Path, complaint: Path) -> Prompts:
    """Read both files and make sure that they can be filled in.

    Args:
        prompt: A text with the fields {persona} and {count}.
        complaint: A text with the fields {complaint} and {count}.

    Raises:
        SystemExit: A file is missing or no text, or its fields are not those.
    """
    return Prompts(read_prompt(prompt, _PROMPT_FIELDS), read_prompt(complaint, _COMPLAINT_FIELDS))


def read_prompt(path: Path, wanted: frozenset[str]) -> str:
    """Read one text with these fields and no other. Raises as `read_prompts`."""
    try:
        text = path.read_text(encoding="utf-8").strip()
        parts = list(string.Formatter().parse(text))
    except (OSError, UnicodeDecodeError) as error:
        msg = f"the teacher's prompt {path} cannot be read ({error}); params.yaml names it"
        raise SystemExit(msg) from error
    except ValueError as error:
        raise SystemExit(_refusal(path, wanted, str(error))) from error
    got = {name for _, name, _, _ in parts if name is not None}
    if got != wanted:
        raise SystemExit(_refusal(path, wanted, f"got {_in_braces(got)}"))
    decorated = {name for _, name, form, conversion in parts if name and (form or conversion)}
    if decorated:
        raise SystemExit(_refusal(path, wanted, f"{_in_braces(decorated)} with a format"))
    return text


def _refusal(path: Path, wanted: frozenset[str], got: str) -> str:
    return (
        f"the teacher's prompt {path} has other fields than {_in_braces(wanted)}: {got};"
        " write braces that are no field twice: {{ }}"
    )


def _in_braces(names: set[str] | frozenset[str]) -> str:
    return " ".join(f"{{{name}}}" for name in sorted(names)) or "none"
