"""A teacher that answers by a function, and some functions."""

import math
from zlib import crc32

from pipelines.labelling.teachers.protocol import Reply


class Scripted:
    """Answers with a function of the request, as long as the budget lasts; keeps what it is asked.

    Equal requests get equal replies, and only the first is paid for.
    """

    name = "scripted"

    def __init__(self, answer, budget=math.inf):
        self.answer = answer
        self.budget = budget
        self.known = {}
        self.asked = []
        self.rounds = []

    def rank(self, requests):
        self.asked += requests
        self.rounds.append(len(requests))
        return [self._reply(request) for request in requests]

    def _reply(self, request):
        if request not in self.known:
            if len(self.known) >= self.budget:
                return None
            self.known[request] = Reply("", self.answer(request))
        return self.known[request]


def by_number(request):
    """Without noise: the higher number is better."""
    return tuple(sorted(request.presented, key=int, reverse=True))


def always_first(request):
    return request.presented


def never(request):
    return None


def noisy(request):
    shift = {p: int(p) + crc32(f"{request}{p}".encode()) % 12 for p in request.presented}
    if crc32(f"{request}".encode()) % 10 == 0:
        return None
    return tuple(sorted(request.presented, key=shift.__getitem__, reverse=True))
