"""What of a model's reply is the caption."""

import pytest

from pipelines.writing.captions import read_caption

CAPTION = "a red mug on a wooden table"


@pytest.mark.parametrize(
    "raw",
    [
        CAPTION,
        f"  {CAPTION}\n",
        f'"{CAPTION}"',
        f"```\n{CAPTION}\n```",
        f"Caption: {CAPTION}",
        f"<think>it is red, I cannot see more</think>\n{CAPTION}",
        f"hm, a mug</think>{CAPTION}",
        "a red mug\non a wooden table",
    ],
)
def test_what_stands_around_it_is_no_part_of_it(raw):
    assert read_caption(raw, 10) == (CAPTION, "")


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        ("", "the reply has no words"),
        ("<think>a mug</think>", "the reply has no words"),
        ("...", "the reply has no words"),
        ("I'm sorry, but I can't help with that.", "the reply says nothing of the picture"),
        ("I\N{RIGHT SINGLE QUOTATION MARK}m unable to see it", "says nothing of the picture"),
        ("As an AI, I do not look at pictures", "the reply says nothing of the picture"),
        ("a mug\0", "a character that no table can keep"),
        ("one two three four", "the reply has 4 words (18 letters), 3 are wanted"),
        ("\N{CJK UNIFIED IDEOGRAPH-7EA2}" * 37, "the reply has 1 words (37 letters), 3 are wanted"),
    ],
)
def test_what_is_no_caption_is_complained_about(raw, complaint):
    caption, said = read_caption(raw, 3 if "words (" in complaint else 10)
    assert caption is None
    assert complaint in said
