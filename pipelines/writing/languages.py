"""Which language a text is in, by a rule that needs no model: its letters, and its small words."""

import re
import unicodedata

_SHARE = 0.9  # of the letters, in Latin script
_WORD = re.compile(r"[^\W\d_]+")
# The commonest words that say nothing of the subject, as far as they tell languages apart.
_SMALL_WORDS = {
    "en": "a an and are as at be by for from has have he her his i in is it likes loves my of on or"
    " she someone that the their they this to was who whose will with without you your",
    "de": "aber als am an auf aus bei das dem den der die ein eine einem einen einer er es für gern"
    " hat ich ihr ihre im in ist liebt mag mein mit nicht oder sein sich sie und von zu zum",
    "es": "a al con como de del el ella en es esta este gusta la las le lo los más mi no para pero"
    " por que quien se su sus un una y",
    "fr": "à au aux avec ce cette dans de des du elle en est et il je la le les leur mais mon ne"
    " pas pour qu que qui sa se ses son sur un une",
    "it": "a al alla ama che chi con da dei del della di e è gli ha i il in io la le lo ma mia mio"
    " non per piace più si sono su un una",
    "nl": "aan als bij dat de die een en er haar heeft hem het hij houdt ik in is maar met mijn"
    " niet of om op te van voor was wie ze zich zijn",
    "pt": "a ao as com como da de do dos e ela ele em é eu gosta mais mas meu minha não no na o os"
    " para por que quem se sem seu sua um uma",
}


def latin_share(text: str) -> float:
    """The share of the text's letters that are Latin; 0 where it has none."""
    letters = [letter for letter in text if letter.isalpha()]
    latin = sum(unicodedata.name(letter, "").startswith("LATIN") for letter in letters)
    return latin / len(letters) if letters else 0.0


def is_in(text: str, language: str) -> bool:
    """Whether the text seems to be in a language of the list, by a rule of thumb.

    At least 90 % of its letters are Latin, it has a small word of the language, and of no other
    language more. A few words without any small word are in no language.

    Args:
        text: Any text.
        language: en, de, es, fr, it, nl or pt.
    """
    words = [word.casefold() for word in _WORD.findall(text)]
    counts = {
        name: sum(word in set(small.split()) for word in words)
        for name, small in _SMALL_WORDS.items()
    }
    most = max(counts.values())
    return 0 < most == counts[language] and latin_share(text) >= _SHARE
