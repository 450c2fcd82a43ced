"""From what a teacher said to a ranking: a full permutation or a complaint.

Models wrap what they are asked for in thoughts, code fences and prose, under another key, with
numbers as texts. What can mean one order only is read; the rest is a complaint, never a guess.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence

KEY = "ranking"

_THOUGHTS_END = re.compile(
    r"\A.*(?:</think(?:ing)?>|\[/THINK\]|◁/think▷|<\|channel\|>final<\|message\|>)",
    re.DOTALL | re.IGNORECASE,
)
_THOUGHTS_BEGIN = re.compile(r"(?:<think(?:ing)?>|\[THINK\]|◁think▷).*", re.DOTALL | re.IGNORECASE)
_MARKS = re.compile(r"<\|[^<>|]*\|>|</?answer>", re.IGNORECASE)  # around an answer, no part of it
FENCE = re.compile(r"```[\w+-]*(.*?)(?:```|\Z)", re.DOTALL)  # [1] is what it holds

_LIST = re.compile(r"\[([^\[\]]*)\]")
# What stands before a list: its key, in quotes, which are escaped where JSON is in a JSON string.
_LISTS_KEY = re.compile(
    r"""(?:["'“”]([^"'“”]+?)\\?["'“”]|\b(ranking))\s*:\s*\\?["']?\s*\Z""", re.IGNORECASE
)
_LONGEST_KEY = 60
_QUOTES = " \t\r\n\\\"'“”`"
_NUMBER = re.compile(r"(?:(?:picture|image|photo)[ _]?)?#?(-?\d{1,9})(?:\.0+)?", re.IGNORECASE)
# Lists under such keys may be an order turned round, or have a number for each picture.
_OTHER_MEANING = re.compile(
    r"worst|ascending|reversed?|ranks|(?:place|position|point|rating|score)s?"
)

Numbers = tuple[int, ...]


def write_reply(places: Sequence[int]) -> str:
    """The reply that ranks places (0 = presented first), best first: what `read_reply` reads."""
    return json.dumps({KEY: [place + 1 for place in places]})


def read_reply(raw: str, presented: int) -> tuple[Numbers | None, str]:
    """The places (0 = presented first), best first, or None and a complaint for the teacher.

    A reply has one list of the pictures' numbers from 1: that of the key "ranking"; without one,
    that of another key, or one that stands alone, as the whole reply or in a code fence. Where such
    lists differ there is no reply. Nothing is guessed from prose.

    Args:
        raw: The reply, word for word.
        presented: How many pictures there were.
    """
    said = without_thoughts(raw)
    if not said:
        return None, "the reply has thoughts and no answer" if raw.strip() else "the reply is empty"
    lists, complaint = _find_lists(said)
    if complaint:
        return None, complaint
    if len(set(lists)) > 1:
        return None, "the reply holds lists that differ"
    complaint = _check_permutation(lists[0], presented)
    return (None, complaint) if complaint else (tuple(number - 1 for number in lists[0]), "")


def begins_with_answer(raw: str) -> bool:
    """Whether nothing comes before the answer, so that no list in it can be one of a draft."""
    return without_thoughts(raw).startswith(("{", "[", "```"))


def without_thoughts(raw: str) -> str:
    """The reply without what a model thought aloud, and without marks around its answer."""
    return _MARKS.sub("", _THOUGHTS_BEGIN.sub("", _THOUGHTS_END.sub("", raw))).strip()


def _find_lists(said: str) -> tuple[list[Numbers], str]:
    """The lists that may be the ranking, one at least, or a complaint."""
    keyed = [(_key_before(said, found.start()), _numbers(found)) for found in _LIST.finditer(said)]
    asked_for = [numbers for key, numbers in keyed if key == KEY]
    if asked_for:  # one without numbers repeats the form that the prompt shows
        lists = [numbers for numbers in asked_for if numbers is not None]
        return lists, "" if lists else "the ranking holds something other than whole numbers"
    others = {key: numbers for key, numbers in keyed if key and numbers}
    if any(_means_other(key) for key in others):
        return [], f'the reply has no list "{KEY}", and lists that may mean something else'
    lists = [numbers for key, numbers in keyed if key and numbers] + _lists_alone(said)
    return lists, "" if lists else f'the reply has no list "{KEY}" of the pictures\' numbers'


def _key_before(said: str, place: int) -> str:
    """The key of the list that begins at a place, in lower case; "" where it has none."""
    found = _LISTS_KEY.search(said[max(0, place - _LONGEST_KEY) : place])
    return (found[1] or found[2]).strip().casefold() if found else ""


def _lists_alone(said: str) -> list[Numbers]:
    """Lists that are all there is of the reply, or of a code fence in it."""
    blocks = [said, *(fence[1] for fence in FENCE.finditer(said))]
    found = [_LIST.fullmatch(block.strip(_QUOTES)) for block in blocks]
    return [numbers for one in found if one and (numbers := _numbers(one))]


def _means_other(key: str) -> bool:
    words = re.findall(r"[a-z]+", key)
    best_first = "best" in words and "worst" in words[words.index("best") :]
    return not best_first and any(_OTHER_MEANING.fullmatch(word) for word in words)


def _numbers(found: re.Match[str]) -> Numbers | None:
    """The whole numbers of a list, as 4, "4", 4.0 or "Picture 4"; None where it holds others."""
    body = found[1].strip().removesuffix(",")
    entries = body.split(",") if body else []
    numbers = [_NUMBER.fullmatch(entry.strip(_QUOTES)) for entry in entries]
    return tuple(int(number[1]) for number in numbers if number) if all(numbers) else None


def _check_permutation(numbers: Numbers, presented: int) -> str:
    """What is wrong; "" where each picture's number is there once."""
    wanted, got = set(range(1, presented + 1)), Counter(numbers)
    faults = [
        f"{words} {', '.join(map(str, sorted(numbers)))}"
        for words, numbers in (
            ("it lacks", wanted - set(got)),
            ("it repeats", {n for n, times in got.items() if n in wanted and times > 1}),
            ("it names pictures that were not shown:", set(got) - wanted),
        )
        if numbers
    ]
    if not faults:
        return ""
    return f"the ranking is no permutation of 1 to {presented}: {'; '.join(faults)}"
