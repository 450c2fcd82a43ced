"""Explaining over HTTP, by a version that the test scripts."""

import dataclasses

from tests.services.fake_engine import FakeEngine, make_product


def test_a_search_says_why_where_it_is_asked(client):
    body = client.post("/v1/search", json={"query": "mugs", "k": 2, "explain": True}).json()
    assert [hit["why"] for hit in body["hits"]] == 2 * [
        {
            "words": [{"word": "mugs", "share": 0.5}],
            "wishes": [{"text": "like mugs", "similarity": 0.25}],
            "concepts": [],
        }
    ]


def test_what_is_found_and_why_are_by_one_version(client, live, engine, version, tmp_path):
    """A version takes over between the two: both are asked for anew."""
    later = FakeEngine(
        dataclasses.replace(version, number=4, digest="e" * 64),
        engine.bundle.lineage, [make_product(7)], tmp_path,
    )  # fmt: skip
    explain = live.explain

    async def after_a_swap(query, found):
        live._engine = later
        return await explain(query, found)

    live.explain = after_a_swap
    body = client.post("/v1/search", json={"query": "mugs", "explain": True}).json()
    assert (body["model_version"], len(body["hits"])) == ("4", 1)
    assert body["hits"][0]["why"]["words"]


def test_what_has_no_meaning_is_not_explained(client):
    for search in ({"like": "p1"}, {"query": "mugs", "mode": "keyword"}):
        body = client.post("/v1/search", json={**search, "explain": True}).json()
        assert [hit["why"] for hit in body["hits"]] == [None] * len(body["hits"])
