import pytest

from services.commands.offline import search_bundle


def test_hits_carry_their_product(bundle) -> None:
    hits, warnings = search_bundle(bundle, "white", [], 3)
    assert warnings == []
    assert [hit.rank for hit in hits] == [1, 2, 3]
    assert (hits[0].product_id, hits[0].price) == ("p4", 13.5)
    assert hits[0].score == pytest.approx(1)
    assert hits[0].thumbnail.startswith(b"\xff\xd8")
    # Equal scores come in the catalogue's order.
    assert [hit.product_id for hit in hits[1:]] == ["p0", "p1"]
