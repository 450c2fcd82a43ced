import json
from collections import Counter
from itertools import permutations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.labelling.teachers.from_file import FileTeacher, majority_order
from pipelines.labelling.teachers.protocol import Question, Request, request_sha256
from pipelines.labelling.teachers.replies import read_reply
from pipelines.run.params import load_params
from retrieval.storage.schema import RANKINGS, write_rows
from tests.pipelines.labelling.teachers.answers import answers_to

PERSONAS = [{"persona_id": persona, "text": f"A gift for {persona}"} for persona in ("ann", "bob")]
PRODUCTS = [{"product_id": product} for product in "abcde"]
RANKED = "persona_id,presented,ranking\n"
CHOSEN = "persona_id,winner,loser\n"
JUDGED = "persona_id,left,right,choice\n"


@pytest.fixture
def teacher(tmp_path):
    def make(text, name="labels.csv"):
        path = tmp_path / name
        if text is not None:
            path.write_text(text, encoding="utf-8")
        return FileTeacher(_params(path), PERSONAS, PRODUCTS)

    return make


def _params(path):
    params = load_params().teacher
    return params.model_copy(update={"file": params.file.model_copy(update={"path": path})})


def _ask(teacher, persona, presented, repeat=0):
    """The products in the order of the reply, best first; the fault where there is none."""
    question = Question(Request(persona, tuple(presented), repeat))
    ((asked, answer),) = next(answers_to(teacher, [question]))
    assert asked is question
    if answer.fault:
        assert answer.raw == ""
        return answer.fault
    places, complaint = read_reply(answer.raw, len(presented))
    assert complaint == ""
    return "".join(presented[place] for place in places)


def test_a_ranking_answers_its_products_in_whatever_order_they_are_presented(teacher):
    file = teacher(RANKED + "ann,a|b|c,b|c|a\n")
    assert {_ask(file, "ann", presented) for presented in permutations("abc")} == {"bca"}
    assert _ask(file, "ann", "abc", repeat=7) == "bca"


def test_a_ranking_answers_its_subsets_and_nobody_else(teacher):
    file = teacher(RANKED + "ann,a|b|c,b|c|a\n")
    assert _ask(file, "ann", "ac") == "ca"
    nothing = "the file has no order of these pictures for this persona"
    assert _ask(file, "ann", "abcd") == nothing
    assert _ask(file, "bob", "abc") == nothing


def test_asking_again_gives_the_next_ranking_the_one_presented_alike_first(teacher):
    file = teacher(RANKED + "ann,a|b,a|b\nann,b|a,b|a\nann,a|b,b|a\n")
    assert [_ask(file, "ann", "ab", repeat) for repeat in range(4)] == ["ab", "ba", "ab", "ba"]
    assert [_ask(file, "ann", "ba", repeat) for repeat in range(2)] == ["ba", "ba"]


def test_the_majority_decides_on_choices(teacher):
    rows = ["ann,a,b", "ann,b,a", "ann,a,b", "ann,b,c", "ann,a,c", "bob,b,a"]
    file = teacher(CHOSEN + "\n".join(rows))
    assert _ask(file, "ann", "cba") == "abc"
    assert _ask(file, "ann", "ab", repeat=1) == "ab"  # never one voice alone
    assert _ask(file, "bob", "ab") == "ba"
    assert _ask(file, "ann", "abd") == "the file has no order of these pictures for this persona"


@pytest.mark.parametrize(
    ("votes", "order"),
    [
        ("ab bc", "abc"),  # a > c follows
        ("ab bc ac ca", "abc"),  # and decides a tie
        ("ab bc ca", None),  # a cycle
        ("ab ac", None),  # b or c next
        ("ab ba bc", None),
        ("ab ba ba ac bc", "bac"),
        ("ab cx", None),
        ("", None),
    ],
)
def test_only_a_single_order_is_an_answer(votes, order):
    counted = Counter(tuple(pair) for pair in votes.split())
    for products in permutations("abc"):
        got = majority_order(counted, products)
        assert (got and "".join(got)) == order


def test_an_order_agrees_with_every_majority_and_where_there_is_none_two_would():
    products = "abcd"
    pairs = [(x, y) for x in products for y in products if x < y]
    for code in range(3 ** len(pairs)):  # every pair won, lost or tied
        signs = [code // 3**place % 3 - 1 for place in range(len(pairs))]
        votes = Counter({pair if sign > 0 else pair[::-1]: 1 for pair, sign in
                         zip(pairs, signs, strict=True) if sign})  # fmt: skip
        fitting = [
            order
            for order in permutations(products)
            if all(order.index(better) < order.index(worse) for better, worse in votes)
        ]
        expected = fitting[0] if len(fitting) == 1 else None
        assert majority_order(votes, products) == expected


def test_the_groups_of_a_file_of_rankings_bring_back_its_rows(teacher):
    rows = ["ann,a|b|c,b|c|a", "bob,a|b,b|a", "ann,a|b|c,c|b|a", "ann,c|b|a,a|b|c", "bob,b|c,"]
    file = teacher(RANKED + "\n".join(rows))
    groups = file.known_groups()
    assert groups == [
        Request("ann", ("a", "b", "c"), 0),
        Request("bob", ("a", "b"), 0),
        Request("ann", ("a", "b", "c"), 1),
        Request("ann", ("c", "b", "a"), 0),
    ]
    answers = [_ask(file, group.persona_id, group.presented, group.repeat) for group in groups]
    assert answers == ["bca", "ba", "cba", "abc"]


def test_the_groups_of_a_file_of_choices_are_its_pairs_with_a_majority(teacher):
    rows = ["ann,c,b", "ann,a,b", "ann,b,c", "ann,b,a", "bob,e,d", "ann,b,c"]
    file = teacher(CHOSEN + "\n".join(rows))
    assert file.known_groups() == [Request("ann", ("b", "c")), Request("bob", ("d", "e"))]


def test_parquet_is_the_table_of_rankings_itself(tmp_path):
    path = tmp_path / "rankings.parquet"
    row = {
        "group_id": "g", "persona_id": "ann", "presented": ["a", "b", "c"],
        "ranking": ["c", "a", "b"], "teacher": "someone", "request_sha256": "0",
    }  # fmt: skip
    write_rows(path, [row, {**row, "persona_id": "bob", "ranking": []}], RANKINGS)
    file = FileTeacher(_params(path), PERSONAS, PRODUCTS)
    assert _ask(file, "ann", "abc") == "cab"
    assert file.known_groups() == [Request("ann", ("a", "b", "c"))]


def test_parquet_may_hold_choices(tmp_path):
    path = tmp_path / "choices.parquet"
    pq.write_table(pa.table({"persona_id": ["ann"], "winner": ["b"], "loser": ["a"]}), path)
    assert _ask(FileTeacher(_params(path), PERSONAS, PRODUCTS), "ann", "ab") == "ba"


def test_another_file_is_another_teacher(teacher):
    request = Request("ann", ("a", "b"))
    first = request_sha256(teacher(RANKED + "ann,a|b,a|b\n"), request)
    assert request_sha256(teacher(RANKED + "ann,a|b,a|b\n"), request) == first
    assert request_sha256(teacher(RANKED + "ann,a|b,b|a\n"), request) != first
    file = teacher(RANKED + "ann,a|b,a|b\n")
    assert len({request_sha256(file, Request("ann", p)) for p in (("a", "b"), ("b", "a"))}) == 2
    assert file.expected_tokens(request) == (0.0, 0.0)
    assert json.dumps(file.content(request))


@pytest.mark.parametrize("word", ["left", "Left", " LEFT ", "a", "A", "1", "1.0"])
def test_a_choice_of_the_left_one_is_one_of_it(teacher, capsys, word):
    file = teacher(JUDGED + f"ann,b,a,{word}\nann,c,b,{word}\n")
    assert _ask(file, "ann", "abc") == "cba"
    assert file.known_groups() == [Request("ann", ("a", "b")), Request("ann", ("b", "c"))]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("word", ["right", "RIGHT", "b", "B", "2", "2.0"])
def test_a_choice_of_the_right_one_is_one_of_it(teacher, word):
    file = teacher(JUDGED + f"ann,b,a,{word}\nann,c,b,{word}\n")
    assert _ask(file, "ann", "abc") == "abc"


def test_the_majority_decides_whichever_stood_left(teacher):
    file = teacher(JUDGED + "ann,a,b,left\nann,b,a,right\nann,a,b,right\n")
    assert _ask(file, "ann", "ab") == "ab"
    assert file.known_groups() == [Request("ann", ("a", "b"))]


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("tie", "tie"), ("Tie", "tie"), ("equal", "tie"), ("both", "tie"), ("both good", "tie"),
        ("Both_Good", "tie"), ("both bad", "both bad"), ("both-bad", "both bad"),
        ("neither", "both bad"), ("None", "skipped"), ("tie (bothbad)", "both bad"),
        ("", "skipped"), ("  ", "skipped"), ("skip", "skipped"), ("Skipped", "skipped"),
        ("nan", "skipped"), ("N/A", "skipped"), ("NULL", "skipped"),
    ],
)  # fmt: skip
def test_a_tie_or_a_skipped_pair_is_no_label_and_no_error_but_counted(teacher, capsys, word, kind):
    file = teacher(JUDGED + f"ann,a,b,left\nann,b,c,{word}\nbob,x,y,{word}\n")
    assert file.known_groups() == [Request("ann", ("a", "b"))]
    assert _ask(file, "ann", "bc") == "the file has no order of these pictures for this persona"
    said = capsys.readouterr().out
    assert said.endswith(f"labels.csv: 2 of 3 rows are no label (2 {kind})\n")


def test_other_forms_say_too_what_is_no_label(teacher, capsys):
    teacher(RANKED + "ann,a|b,b|a\nann,a|c,\n")
    teacher(CHOSEN + "ann,a,b\nann,,\n")
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("labels.csv: 1 of 2 rows are no label (1 without a ranking)")
    assert second.endswith("labels.csv: 1 of 2 rows are no label (1 skipped)")


def test_parquet_may_hold_what_a_labelling_tool_exports(tmp_path):
    path = tmp_path / "export.parquet"
    table = {"persona_id": ["ann"] * 4, "left": [*"aabb"], "right": [*"bccc"]}
    pq.write_table(pa.table({**table, "choice": [2, 1, 1, None], "annotator": [7] * 4}), path)
    file = FileTeacher(_params(path), PERSONAS, PRODUCTS)
    assert _ask(file, "ann", "abc") == "bac"


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        (None, "none.csv", r"none\.csv cannot be read \(No such file"),
        (None, "labels.txt", r"labels\.txt; expected a \.csv or \.parquet file"),
        ("not parquet", "labels.parquet", "cannot be read as Parquet"),
        ("who,best\nann,a\n", "labels.csv", "has columns who, best; expected one of persona_id, "),
        ("persona_id,presented,ranking,winner,loser\n", "labels.csv", "expected one of"),
        (
            "who,left,right,choice\n",
            "labels.csv",
            r"has columns who, left, right, choice; expected one of .* \| persona_id, left, right, "
            r"choice\. Rename its columns",
        ),
        (RANKED, "labels.csv", "holds no order"),
        (RANKED + "ann,a|b,\n", "labels.csv", "holds no order"),
        (RANKED + "ann,a|b,b|a\nann,a|b,a|c\n", "labels.csv", r"row 3: ranking .* no permutation"),
        (RANKED + "ann,a|b,a|a\n", "labels.csv", "row 2: ranking is .* none twice"),
        (RANKED + "ann,a,a\n", "labels.csv", "row 2: presented holds 1 products"),
        (RANKED + "ann,a|b\n", "labels.csv", "row 2: has 2 fields, expected 3"),
        (CHOSEN + "ann,a,b\n,a,b\n", "labels.csv", "row 3: persona_id is missing"),
        (CHOSEN + "ann,a,b\n\nann,a,a\n", "labels.csv", "row 4: winner and loser are both 'a'"),
        (JUDGED + "ann,a,a,left\n", "labels.csv", "row 2: left and right are both 'a'"),
        (JUDGED + "ann,,b,tie\n", "labels.csv", "row 2: left is missing"),
        (JUDGED + ",a,b,tie\n", "labels.csv", "row 2: persona_id is missing"),
        (
            JUDGED + "ann,a,b,0\n",
            "labels.csv",
            "row 2: choice is '0', expected one of left, a, 1; right, b, 2; tie, .*, or blank",
        ),
        (JUDGED + "ann,a,b,a better\n", "labels.csv", "row 2: choice is 'a better'"),
        (
            JUDGED + "ann,a,b,tie\nann,a,c,\nann,b,c,tie\n",
            "labels.csv",
            r"holds no order: 3 of 3 rows are no label \(1 skipped, 2 tie\); expected one",
        ),
        (
            CHOSEN + "ann,a,\n" * 7,
            "labels.csv",
            r"has wrong rows \(7\)[\s\S]*row 6: [^\n]*\n  \.\.\.$",
        ),
    ],
)
def test_a_wrong_file_stops_with_what_is_wrong(teacher, text, name, message):
    with pytest.raises(SystemExit, match=message):
        teacher(text, name)


def test_unknown_ids_are_counted_and_the_first_five_named(teacher):
    rows = [f"ann,x{number},a" for number in range(7)] + ["eve,a,b"]
    message = (
        r"names unknown personas \(1: eve\) and unknown products"
        r" \(7: x0, x1, x2, x3, x4, \.\.\.\); the catalogue has 2 personas and 5 products"
    )
    with pytest.raises(SystemExit, match=message):
        teacher(CHOSEN + "\n".join(rows))


@pytest.mark.parametrize(
    "text",
    [
        "text,presented,ranking\na gift for  ANN,a|b|c,b|c|a\n",
        "text,winner,loser\nA gift for ann,b,c\na gift for Ann,c,a\n",
        'text,left,right,choice\n"a gift\nfor ann",b,c,left\na gift for ann,a,c,right\n',
    ],
)
def test_a_wish_may_be_named_by_its_text(teacher, text):
    file = teacher(text)
    assert _ask(file, "ann", "abc") == "bca"
    assert {group.persona_id for group in file.known_groups()} == {"ann"}


def test_who_has_both_is_named_by_the_id(teacher):
    file = teacher("text,persona_id,winner,loser\na gift for ann,bob,b,c\n")
    assert _ask(file, "bob", "cb") == "bc"


def test_a_text_that_nobody_has_is_named_and_a_blank_one_is_no_label(teacher, capsys):
    with pytest.raises(SystemExit, match=r"unknown personas \(1: a gift for eve\)"):
        teacher("text,winner,loser\na gift for eve,b,c\n")
    teacher("text,winner,loser\nnone,a,b\n,a,b\na gift for ann,b,c\n")
    assert "2 of 3 rows are no label (2 without a text)" in capsys.readouterr().out
