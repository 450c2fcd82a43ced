"""Keys are listed, found and gone for all workers at once, and their requests counted together."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from services.store.keys import KeyStore, NameTakenError, digest_of
from services.store.tenants import Quotas, Tenant


@pytest.fixture
def keys(database):
    return KeyStore(database)


def add(keys, name, tenant=None, *, feedback=False, quotas=Quotas()):  # noqa: B008 -- frozen
    return keys.add(name, Tenant(tenant or name, name, feedback, quotas))


def test_what_is_stored_is_what_is_read_oldest_first(keys):
    quotas = Quotas(concepts=0, requests_a_minute=7, photo_mb=2_000_000_000)
    made = [add(keys, "bob", "family", feedback=True, quotas=quotas), add(keys, "ann")]
    found = keys.by_digest()
    assert list(found) == [digest_of(key) for key in made]
    bob, ann = found.values()
    assert bob.tenant == Tenant("family", "bob", True, quotas)
    assert ann.tenant == Tenant("ann", "ann", False, Quotas())
    assert bob.created.utcoffset().total_seconds() == 0
    assert bob.created <= ann.created


def test_of_many_who_take_a_name_at_once_one_gets_it(keys):
    def take(number):
        try:
            return add(keys, "ann", f"tenant {number}")
        except NameTakenError:
            return None

    with ThreadPoolExecutor(8) as askers:
        (made,) = [key for key in askers.map(take, range(8)) if key]
    assert list(keys.by_digest()) == [digest_of(made)]


def test_a_revoked_key_is_gone_and_its_name_is_free(keys):
    add(keys, "ann")
    bob = add(keys, "bob")
    assert keys.revoke("ann")
    assert not keys.revoke("ann")
    assert list(keys.by_digest()) == [digest_of(bob)]
    add(keys, "ann")
    assert len(keys.by_digest()) == 2


def test_workers_that_report_at_once_lose_no_request(keys):
    """In either order of tenants: they do not wait for each other for ever."""
    reports = [{"ann": 1, "bob": 2}, {"bob": 2, "ann": 1}] * 20
    with ThreadPoolExecutor(8) as workers:
        list(workers.map(lambda requests: keys.count(10, requests), reports))
    assert keys.count(10, {}) == {"ann": 40, "bob": 80}


def test_a_minute_is_kept_until_the_next_but_one(keys):
    keys.count(10, {"ann": 3})
    assert keys.count(11, {"ann": 1, "bob": 1}) == {"ann": 1, "bob": 1}
    assert keys.count(10, {}) == {"ann": 3}
    keys.count(12, {"bob": 1})
    assert [keys.count(minute, {}) for minute in (10, 11, 12)] == [
        {}, {"ann": 1, "bob": 1}, {"bob": 1}
    ]  # fmt: skip
