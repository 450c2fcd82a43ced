import pytest

from pipelines.pages import words


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.05, "0.05"), (0.123456, "0.123"), (-0.5, "\N{MINUS SIGN}0.5"), (0, "0"), (5.5, "5.5")],
)
def test_a_plain_number_is_as_in_the_parameters(value, said):
    assert words.plain(value) == said


def test_an_unknown_number_is_a_dash():
    assert words.plain(None) == words.plain(float("nan")) == words.DASH


def test_a_title_begins_with_a_capital_and_no_article():
    assert words.title("a share of groups") == "Share of groups"
    assert words.title("Cramér's V of a place") == "Cramér's V of a place"
    assert words.sentence("the teacher picks") == "The teacher picks"
    assert words.sentence("") == ""


def test_backticks_are_code_and_everything_is_escaped():
    said = words.code("run `a<b>` & <i>`c`")
    assert said == "run <code>a&lt;b&gt;</code> &amp; &lt;i&gt;<code>c</code>"
