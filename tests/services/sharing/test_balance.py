"""Workers that are asked by more than their share of the connections end some of them."""

import random

import pytest

from services.http.balance import WINDOW, Shares, excess
from services.search.processes import Notices


@pytest.mark.parametrize(
    ("own", "others", "expected"),
    [
        (32, [0], 16),
        (5, [3], 1),
        (4, [4], 0),
        (3, [2], 0),  # five cannot be shared out more evenly
        (3, [2, 0], 1),
        (1, [0, 0, 0], 0),
        (0, [9], 0),
        (9, [], 0),
    ],
)
def test_a_share_is_the_mean_of_all_workers_rounded_up(own, others, expected):
    assert excess(own, others) == expected


class Service:
    """Workers whose clients all ask once between two looks, and connect again where they must."""

    def __init__(self, folder, workers, dead):
        self.shares = [Shares(Notices(folder, pid, lambda pid: pid not in dead)) for pid in workers]
        self.random = random.Random(0)

    def round(self, place):
        """Every client asks its worker; how many had to connect again."""
        moved = 0
        for client, worker in place.items():
            if self.shares[worker].begin(client):
                place[client] = self.random.randrange(len(self.shares))
                self.shares[place[client]].begin(client)
                moved += 1
            self.shares[place[client]].end(client)
        for _ in range(2):  # the first one to look has not read what the others tell
            for shares in self.shares:
                shares.compare()
        return moved


@pytest.mark.parametrize("workers", [2, 3])
def test_clients_of_one_worker_are_shared_out_and_then_left_alone(tmp_path, workers):
    service = Service(tmp_path / "told", range(1, workers + 1), set())
    place = {("10.0.0.1", port): 0 for port in range(12)}
    service.round(place)
    for _ in range(100):
        service.round(place)
    held = [list(place.values()).count(worker) for worker in range(workers)]
    assert held == [12 // workers] * workers
    assert service.round(place) == 0


def test_a_worker_that_was_killed_has_no_share(tmp_path):
    service = Service(tmp_path / "told", (1, 2), {2})
    place = {("10.0.0.1", port): 0 for port in range(8)}
    assert not any(service.round(place) for _ in range(5))


@pytest.mark.parametrize(("answered", "counts"), [(True, False), (False, True)])
def test_a_connection_counts_as_long_as_it_waits_and_soon_no_more(
    tmp_path, monkeypatch, answered, counts
):
    now = 100.0
    monkeypatch.setattr("services.http.balance.time.monotonic", lambda: now)
    busy, idle = (Shares(Notices(tmp_path / "told", pid, lambda _: True)) for pid in (1, 2))
    idle.compare()
    for port in range(8):
        assert not busy.begin(("10.0.0.1", port))
        if answered:
            busy.end(("10.0.0.1", port))
    now += 2 * WINDOW
    busy.compare()
    assert busy.begin(("10.0.0.1", 9)) == counts


def test_an_answer_ends_the_connection_that_is_given_up(client, tmp_path):
    client.get("/v1/model")
    own, other = (Notices(tmp_path / "told", pid, lambda _: True) for pid in (1, 2))
    shares = client.app.state.shares = Shares(own)
    assert "connection" not in client.get("/v1/model").headers
    for port in range(2):
        shares.begin(("10.0.0.1", port))
    other.tell("0")
    shares.compare()
    assert client.get("/v1/model").headers["connection"] == "close"
    assert "connection" not in client.get("/v1/model").headers
