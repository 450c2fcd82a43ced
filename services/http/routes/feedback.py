"""`/v1/feedback`: what of a search's hits was right, for the next labels."""

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from retrieval.index.collection import text_fault
from services.http.feedback_messages import FeedbackMessage
from services.http.logs import note_query
from services.http.problems import problems
from services.http.routes.asker import Asker, Who
from services.search.queries import in_words
from services.sharing.concepts import UnknownConceptError
from services.sharing.feedback import SETTING, is_allowed
from services.store.feedback import Feedback, FeedbackStore

router = APIRouter(prefix="/v1/feedback", tags=["feedback"])


@router.post("", status_code=204, responses=problems(400, 403, 422, 507))
async def give_feedback(message: FeedbackMessage, who: Who, request: Request) -> None:
    """Keep what was chosen of what was shown; a label run can learn from it."""
    if not is_allowed(who.tenant):
        msg = (
            "feedback is not kept for you: ask for a key that was made with `kindred keys add NAME"
            f" --feedback`, or, where there are no keys, start the service with {SETTING}=1"
        )
        raise HTTPException(403, msg)
    if fault := message.fault():
        raise HTTPException(422, fault)
    engine = who.live.engine
    if unknown := [id_ for id_ in message.shown if id_ not in engine.products]:
        msg = f"got product {unknown[0]!r} in shown, which this version does not have"
        raise HTTPException(422, msg)
    text = await _in_words(who, message.query)
    given = Feedback(text, message.shown, message.chosen, message.rejected)
    store: FeedbackStore = request.app.state.feedback
    await run_in_threadpool(store.add, who.tenant.id, given, engine.version.digest)


async def _in_words(who: Asker, query: str) -> str:
    """The query for who does not know the tenant's concepts: each one's noun in its place."""
    if fault := text_fault(query):
        raise HTTPException(422, f"the query {fault}")
    note_query(query)
    try:
        text, concepts = await who.concepts.resolve(who.tenant.id, query)
    except (UnknownConceptError, ValueError) as error:
        raise HTTPException(422, str(error)) from error
    return in_words(text, concepts)
