"""A teacher that answers by a function, and what asks it with a journal and a budget."""

from contextlib import contextmanager

from pipelines.labelling.teachers.asking import Asker, Purpose
from pipelines.labelling.teachers.budget import Budget, Prices
from pipelines.labelling.teachers.protocol import Answer, Request, TeacherError
from pipelines.labelling.teachers.replies import write_reply
from retrieval.storage.journal import Journal

ORDER = (2, 0, 1)  # of three pictures
GOOD = write_reply(ORDER)
HALF = '{"ranking": [3, 1]}'


class Scripted:
    """Answers as told, a few questions at once; it is its own session, and keeps its questions."""

    name = "scripted"

    def __init__(self, reply=lambda question: GOOD, together=2, fail_after=None, remedy=""):
        self.remedy = remedy
        self.settings = {}
        self.asked = []
        self.under_way = []
        self.opened = self.closed = 0
        self._reply, self._together, self._fail_after = reply, together, fail_after

    def content(self, request):
        return [request.persona_id, [picture.partition("#")[0] for picture in request.presented]]

    def expected_tokens(self, request):
        return 100.0, 10.0

    @contextmanager
    def open(self):
        self.opened += 1
        try:
            yield self
        finally:
            self.closed += 1

    @property
    def room(self):
        return self._together - len(self.under_way)

    def ask(self, question):
        assert self.room > 0
        self.asked.append(question)
        self.under_way.append(question)

    def wait(self):
        if self._fail_after is not None and len(self.asked) > self._fail_after:
            raise TeacherError("the server is down")
        answered, self.under_way = self.under_way, []
        return [(question, self._answer(question)) for question in answered]

    def _answer(self, question):
        raw = self._reply(question)
        return raw if isinstance(raw, Answer) else Answer(raw, "", 100, 10, 0.5)


def requests(count):
    return [Request(f"p{n}", ("a", "b", "c")) for n in range(count)]


def ask(path, teacher, wanted, **limits):
    budget = Budget(Prices(10.0, 100.0), limits.get("max_calls"), limits.get("max_cost_usd"))
    with Journal(path) as journal:
        asker = Asker(teacher, journal, Purpose("label", "c1"), budget)
        forecast = asker.forecast(wanted)
        replies = asker.rank(wanted)
    return replies, asker.budget, forecast


def rankings(replies):
    return [None if reply is None else reply.ranking for reply in replies]
