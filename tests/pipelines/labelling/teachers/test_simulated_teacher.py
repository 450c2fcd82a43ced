import math
import time
from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from scipy.stats import chisquare

from pipelines.labelling.teachers.protocol import Question, Request, request_sha256
from pipelines.labelling.teachers.replies import read_reply
from pipelines.labelling.teachers.simulated import SimulatedTeacher
from pipelines.run.params import SimulatedTeacher as SimulatedParams
from tests.pipelines.labelling.teachers.answers import answers_to

DRAWS = 3000
PERSONAS = [
    {"persona_id": "u", "wants": {"kind=mug": 1.0, "color=blue": 0.5}},
    {"persona_id": "v", "wants": {"color=red": 2.0}},
]
PRODUCTS = [
    {"product_id": "blue mug", "attributes": {"kind": "mug", "color": "blue"}},
    {"product_id": "red mug", "attributes": {"kind": "mug", "color": "red"}},
    {"product_id": "blue vase", "attributes": {"kind": "vase", "color": "blue"}},
    {"product_id": "red vase", "attributes": {"kind": "vase", "color": "red"}},
]
UTILITIES = {"blue mug": 1.5, "red mug": 1.0, "blue vase": 0.5, "red vase": 0.0}  # of persona u
IDS = tuple(UTILITIES)


def _teacher(seed=0, personas=PERSONAS, products=PRODUCTS, **changes):
    faults = {"noise": 0.5, "position_bias": 0.0, "malformed_rate": 0.0, "latency": 0.0}
    return SimulatedTeacher(SimulatedParams(**{**faults, **changes}), seed, personas, products)


def _ask(teacher, requests, **complaint):
    """Each request's ranking, or None where the reply is none."""
    rankings = []
    questions = [Question(request, **complaint) for request in requests]
    for answered in answers_to(teacher, questions):
        for question, answer in answered:
            shown = question.request.presented
            order, _ = read_reply(answer.raw, len(shown))
            rankings.append(None if order is None else tuple(shown[place] for place in order))
    return rankings


def _rankings(teacher, presented, draws=DRAWS, persona="u"):
    """The replies to one question asked many times: independent draws."""
    requests = [Request(persona, tuple(presented), repeat) for repeat in range(draws)]
    return _ask(teacher, requests)


def test_equal_requests_get_equal_replies_in_any_company():
    teacher = _teacher(noise=5.0, malformed_rate=0.3)
    requests = [Request(who, IDS, repeat) for who in "uv" for repeat in range(50)]
    together = _ask(teacher, requests)
    alone = [_ask(_teacher(noise=5.0, malformed_rate=0.3), [r])[0] for r in requests[::-1]][::-1]
    assert together == alone
    assert _ask(teacher, []) == []
    assert len(set(together)) > 10


def test_a_complaint_gets_another_reply_and_that_always_the_same():
    teacher = _teacher(malformed_rate=0.5)
    requests = [Request("u", IDS, repeat) for repeat in range(400)]
    first, second = _ask(teacher, requests), _ask(teacher, requests, complaint="no permutation")
    assert second == _ask(teacher, requests, complaint="no permutation")
    after_a_failure = [again for reply, again in zip(first, second, strict=True) if reply is None]
    assert 0.35 < sum(again is None for again in after_a_failure) / len(after_a_failure) < 0.65


def test_a_teacher_with_a_latency_is_asked_one_by_one_and_takes_its_time():
    with _teacher(latency=0.05).open() as session:
        began = time.perf_counter()
        for repeat in range(2):
            assert session.room == 1
            session.ask(Question(Request("u", IDS, repeat)))
            assert session.room == 0
            assert len(session.wait()) == 1
        assert time.perf_counter() - began >= 0.1
    assert _teacher(latency=0.05).settings == _teacher().settings


def test_other_products_in_the_catalogue_do_not_change_a_reply():
    more = [{"product_id": "x", "attributes": {"color": "blue"}}, *PRODUCTS[::-1]]
    assert _rankings(_teacher(products=more), IDS, 50) == _rankings(_teacher(), IDS, 50)


@pytest.mark.parametrize("noise", [0.25, 1.0])
def test_first_choices_follow_the_softmax_of_utility_over_noise(noise):
    firsts = Counter(ranking[0] for ranking in _rankings(_teacher(noise=noise), IDS))
    worth = np.exp(np.array([UTILITIES[product] for product in IDS]) / noise)
    expected = DRAWS * worth / worth.sum()
    assert chisquare([firsts[product] for product in IDS], expected).pvalue > 1e-3


def test_whole_orders_are_plackett_luce():
    presented = ("red mug", "blue mug", "blue vase")
    worth = {product: math.exp(UTILITIES[product] / 0.5) for product in presented}
    expected = {}
    for order in permutations(presented):
        left, chance = sum(worth.values()), 1.0
        for product in order:
            chance *= worth[product] / left
            left -= worth[product]
        expected[order] = DRAWS * chance
    assert sum(expected.values()) == pytest.approx(DRAWS)
    counts = Counter(_rankings(_teacher(), presented))
    assert set(counts) <= set(expected)
    assert chisquare([counts[o] for o in expected], list(expected.values())).pvalue > 1e-3


def test_little_noise_gives_the_true_order_much_noise_any_order():
    assert set(_rankings(_teacher(noise=0.001), IDS[::-1], 100)) == {IDS}
    assert len(set(_rankings(_teacher(noise=100.0), IDS))) == 24


def test_persona_decides_whose_wants_count():
    [ranking] = _rankings(_teacher(noise=0.001), IDS, 1, persona="v")
    assert set(ranking[:2]) == {"red mug", "red vase"}


@pytest.mark.parametrize("bias", [0.0, 0.2, 0.6])
def test_position_bias_lifts_what_is_presented_first(bias):
    """Two equal products: the first wins with worth exp(bias / noise) against 1."""
    twins = [{"product_id": f"t{n}", "attributes": {"color": "blue"}} for n in range(2)]
    teacher = _teacher(personas=PERSONAS[:1], products=twins, position_bias=bias)
    for presented in (("t0", "t1"), ("t1", "t0")):
        wins = sum(ranking[0] == presented[0] for ranking in _rankings(teacher, presented))
        share = 1 / (1 + math.exp(-bias / 0.5))
        assert abs(wins / DRAWS - share) < 3.5 * math.sqrt(share * (1 - share) / DRAWS)


def test_position_bias_falls_evenly_from_the_first_place_to_the_last():
    five = [{"product_id": str(n), "attributes": {"color": "blue"}} for n in range(5)]
    teacher = _teacher(personas=PERSONAS[:1], products=five, position_bias=1.0, noise=1.0)
    firsts = Counter(ranking[0] for ranking in _rankings(teacher, "01234"))
    worth = np.exp(np.linspace(1, 0, 5))
    expected = DRAWS * worth / worth.sum()
    assert chisquare([firsts[str(n)] for n in range(5)], expected).pvalue > 1e-3


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.5, 1.0])
def test_the_share_of_replies_that_are_no_ranking_is_the_parameter(rate):
    failures = sum(r is None for r in _rankings(_teacher(malformed_rate=rate), IDS))
    assert abs(failures / DRAWS - rate) <= 3.5 * math.sqrt(rate * (1 - rate) / DRAWS)


def test_a_malformed_reply_says_nothing_about_the_products():
    teacher, faulty = _teacher(), _teacher(malformed_rate=0.5)
    whole = [r for r in _rankings(faulty, IDS) if r is not None]
    for rankings in (whole, _rankings(teacher, IDS)):
        share = sum(r[0] == "blue mug" for r in rankings) / len(rankings)
        assert share == pytest.approx(math.e**3 / (math.e**3 + math.e**2 + math.e + 1), abs=0.04)


def test_every_ranking_is_a_permutation_of_what_was_presented():
    for presented in (IDS, IDS[1:], IDS[:1]):
        for ranking in _rankings(_teacher(noise=3.0), presented, 30):
            assert sorted(ranking) == sorted(presented)


def test_another_seed_is_another_teacher_of_the_same_kind():
    first, again, other = (_rankings(_teacher(seed=s), IDS) for s in (1, 1, 2))
    assert first == again != other
    shares = [sum(r[0] == "blue mug" for r in rankings) / DRAWS for rankings in (first, other)]
    assert shares[0] == pytest.approx(shares[1], abs=0.05)


@pytest.mark.parametrize("wants", [{}, {"kind=spade": 1.0}])
def test_personas_that_nothing_pleases_are_refused(wants):
    odd = {"persona_id": "w7", "wants": wants}
    with pytest.raises(SystemExit, match=r"got 1 of 3 personas .*\(w7\); give them wants of the"):
        _teacher(personas=[*PERSONAS, odd])


def test_it_is_called_simulated():
    assert _teacher().name == "simulated"


REQUEST = Request("u", IDS, 0)


def _digest(request=REQUEST, **changes):
    return request_sha256(_teacher(**changes), request)


@pytest.mark.parametrize(
    "request_",
    [
        Request("v", IDS, 0),
        Request("u", IDS[::-1], 0),
        Request("u", IDS[:3], 0),
        Request("u", IDS, 1),
    ],
)
def test_the_digest_depends_on_every_part_of_the_request(request_):
    digests = [_digest(), _digest(request_)]
    assert digests[0] != digests[1]
    assert all(len(digest) == 64 and int(digest, 16) >= 0 for digest in digests)


@pytest.mark.parametrize(
    "changes",
    [{"seed": 1}, {"noise": 0.51}, {"position_bias": 0.01}, {"malformed_rate": 0.01}],
)
def test_the_digest_depends_on_every_setting(changes):
    assert _digest() != _digest(**changes)
    assert _digest() == _digest()


def test_the_digest_depends_on_wants_and_attributes():
    other = [{**PERSONAS[0], "wants": {"kind=mug": 1.0}}, PERSONAS[1]]
    assert _digest() != _digest(personas=other)
    repainted = [{**PRODUCTS[0], "attributes": {"kind": "mug", "color": "red"}}, *PRODUCTS[1:]]
    assert _digest() != _digest(products=repainted)


def test_the_digest_depends_on_the_teacher():
    other = _teacher()
    other.name = "file"
    assert request_sha256(other, REQUEST) != _digest()
