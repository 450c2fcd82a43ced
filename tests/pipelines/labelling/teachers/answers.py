"""Asks a teacher as fast as it has room, for tests of what it answers."""


def answers_to(teacher, questions):
    """Each wait's questions with their answers."""
    ahead, under_way = iter(questions), 0
    with teacher.open() as session:
        while True:
            while session.room and (question := next(ahead, None)) is not None:
                session.ask(question)
                under_way += 1
            if not under_way:
                return
            answered = session.wait()
            under_way -= len(answered)
            yield answered
