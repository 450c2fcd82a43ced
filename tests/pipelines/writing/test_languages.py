"""The rule of thumb for languages."""

import pytest

from pipelines.writing.languages import is_in, latin_share

TEXTS = {
    "en": "a retired nurse who spends her mornings in the garden",
    "de": "eine Krankenschwester, die gern mit ihrem Hund im Wald ist",
    "fr": "une infirmière qui passe ses matinées dans le jardin avec son chien",
    "es": "una enfermera que pasa las mañanas en el jardín con su perro",
    "it": "un'infermiera che passa le mattine nel giardino con il suo cane",
    "nl": "een verpleegster die haar ochtenden in de tuin doorbrengt met het kind",
    "pt": "uma enfermeira que passa as manhãs no jardim com o seu cão",
}


@pytest.mark.parametrize("language", TEXTS)
def test_a_text_is_in_its_own_language_alone(language):
    assert [name for name, text in TEXTS.items() if is_in(text, language)] == [language]


@pytest.mark.parametrize(
    "text",
    ["женщина, которая любит сад", "ein Gärtner", "她喜欢花园", "9 + 9", "", "gardener dog lover"],
)
def test_what_is_no_english_is_not_taken_for_it(text):
    assert not is_in(text, "en")


def test_the_share_of_latin_letters():
    assert latin_share("Käse 3!") == 1.0
    assert latin_share("abжж") == 0.5
    assert latin_share("1, 2") == 0.0
