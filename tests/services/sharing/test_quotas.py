"""What a key allows: requests a minute, concepts, megabytes of photos."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.exc import OperationalError

from services.http.meter import NEARLY, Meter
from services.store.tenants import LOCAL, Quotas, Tenant
from tests.services.sharing.conftest import bearer, make_key, teach
from tests.services.tiny_engine import photo

TWO = Tenant("ann", "ann", quotas=Quotas(requests_a_minute=2))


class Clock:
    def __init__(self, now=600.0):
        self.now = now

    def __call__(self):
        return self.now


def test_a_minute_has_as_many_requests_as_the_key_says(app, store):
    ann = bearer(make_key(store, "ann", requests_a_minute=2))
    with TestClient(app) as client:
        app.state.meter = Meter(store, Clock(610.0))
        for _ in range(2):
            assert client.get("/v1/concepts", headers=ann).status_code == 200
        refused = client.get("/v1/concepts", headers=ann)
        assert client.get("/images/p1", headers=ann).status_code == 200  # pictures do not count
    assert refused.status_code == 429
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["retry-after"] == "51"
    assert "2 requests a minute" in refused.json()["detail"]


def refuses(meter, tenant):
    return asyncio.run(meter.refuses(tenant))


def test_the_next_minute_begins_anew_and_others_have_their_own(store):
    clock = Clock()
    meter = Meter(store, clock)
    assert [refuses(meter, TWO) for _ in range(3)] == [0, 0, 61]
    assert refuses(meter, Tenant("bob", "bob", quotas=Quotas(requests_a_minute=1))) == 0
    assert [refuses(meter, LOCAL) for _ in range(9)] == [0] * 9
    clock.now += 60
    assert refuses(meter, TWO) == 0


def test_workers_count_together_and_a_new_one_goes_on(store):
    clock = Clock()
    one, other = Meter(store, clock), Meter(store, clock)
    assert refuses(one, TWO) == 0
    assert refuses(other, TWO) == 0
    late = Meter(store, clock)
    assert all(refuses(meter, TWO) for meter in (one, other, late))


@pytest.mark.parametrize(("most", "each", "let_in"), [(10, 9, 10), (NEARLY, 200, NEARLY)])
def test_of_what_comes_at_once_to_all_workers_as_much_is_let_in_as_to_one(
    store, most, each, let_in
):
    ann = Tenant("ann", "ann", quotas=Quotas(requests_a_minute=most))
    clock = Clock()
    workers = [Meter(store, clock) for _ in range(3)]

    async def ask(meter):
        return await asyncio.gather(*(meter.refuses(ann) for _ in range(each)))

    with ThreadPoolExecutor(3) as processes:
        said = [*processes.map(lambda one: asyncio.run(ask(one)), workers)]
    assert [wait for waits in said for wait in waits].count(0) == let_in


def test_of_a_burst_after_another_each_gets_what_is_left(store):
    ann = Tenant("ann", "ann", quotas=Quotas(requests_a_minute=20))
    meter = Meter(store, Clock())

    async def staggered():
        async def ask(at):
            await asyncio.sleep(at / 1000)
            return await meter.refuses(ann)

        return await asyncio.gather(*(ask(at) for at in range(20)))

    assert asyncio.run(staggered()) == [0] * 20
    assert refuses(meter, ann) == 61


def test_one_worker_lets_in_no_more_than_the_quota(store):
    ann = Tenant("ann", "ann", quotas=Quotas(requests_a_minute=NEARLY + 100))
    meter = Meter(store, Clock())

    async def ask():
        return await asyncio.gather(*(meter.refuses(ann) for _ in range(NEARLY + 200)))

    assert asyncio.run(ask()).count(0) == NEARLY + 100


def test_where_the_database_does_not_answer_a_worker_counts_alone(store, monkeypatch):
    def fail(*_):
        raise OperationalError("", None, Exception())

    meter = Meter(store, Clock())
    with monkeypatch.context() as broken:
        broken.setattr(store, "count", fail)
        assert [refuses(meter, TWO) for _ in range(3)] == [0, 0, 61]
    meter.flush()
    assert store.count(10, {}) == {"ann": 3}  # what was refused among them
    assert refuses(meter, TWO) == 61


def test_far_from_a_quota_nothing_is_written_for_a_request(store, monkeypatch):
    monkeypatch.setattr(store, "count", pytest.fail)
    ann = Tenant("ann", "ann", quotas=Quotas(requests_a_minute=NEARLY + 3))
    meter = Meter(store, Clock())
    assert [refuses(meter, ann) for _ in range(3)] == [0] * 3


def test_old_minutes_are_forgotten(store):
    clock = Clock()
    meter = Meter(store, clock)
    refuses(meter, TWO)
    meter.flush()
    clock.now += 120
    refuses(meter, TWO)
    meter.flush()
    assert store.count(10, {}) == {}
    assert store.count(12, {}) == {"ann": 1}


def test_without_news_nothing_is_written(store, monkeypatch):
    monkeypatch.setattr(store, "_adding", pytest.fail)
    Meter(store).flush()


def test_a_key_allows_so_many_concepts(app, store):
    ann = bearer(make_key(store, "ann", concepts=1))
    with TestClient(app) as client:
        assert teach(client, ann, "mug").status_code == 201
        refused = teach(client, ann, "cup")
        assert refused.status_code == 429
        assert "forget another" in refused.json()["detail"]
        names = [one["name"] for one in client.get("/v1/concepts", headers=ann).json()["concepts"]]
        assert names == ["mug"]
        files = [("photos", ("a.jpg", photo("red"), "image/jpeg"))]
        for method, path in (("PUT", ""), ("POST", "/photos")):  # no more concepts than before
            again = client.request(
                method, f"/v1/concepts/mug{path}", data={"noun": "jug"}, files=files, headers=ann
            )
            assert again.status_code == 200
        assert client.delete("/v1/concepts/mug", headers=ann).status_code == 204
        assert teach(client, ann, "cup").status_code == 201


def test_a_key_allows_so_many_megabytes_of_photos(app, store):
    ann = bearer(make_key(store, "ann", photo_mb=0))
    with TestClient(app) as client:
        refused = teach(client, ann)
        assert refused.status_code == 429
        assert "0 MB of this key" in refused.json()["detail"]
        assert client.get("/v1/concepts", headers=ann).json()["concepts"] == []


def test_what_came_in_meanwhile_counts_when_a_concept_is_stored(app, store, live):
    """Two at once: each finds room before it is learned, and one finds none after."""
    ann = bearer(make_key(store, "ann", concepts=1))
    with TestClient(app) as client:
        app.state.concepts.store.hold = lambda *_: None
        assert [teach(client, ann, name).status_code for name in ("mug", "cup")] == [201, 429]
