"""Feedback as it comes over HTTP."""

from typing import Annotated

from pydantic import Field, StringConstraints

from retrieval.index.collection import LONGEST
from services.http.messages import Message, Text

_MOST = 200  # products that a search shows
_Id = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST)]
_Ids = Annotated[tuple[_Id, ...], Field(max_length=_MOST)]


class FeedbackMessage(Message):
    """What somebody was shown for a query, and what of it they chose or rejected."""

    query: Annotated[Text, Field(description="As it was searched for.")]
    shown: Annotated[_Ids, Field(min_length=1, description="Product ids in the page's order.")]
    chosen: Annotated[_Id | None, Field(description="One of those shown.")] = None
    rejected: Annotated[_Ids, Field(description="Some of those shown.")] = ()

    def fault(self) -> str:
        """What cannot be true of it, a sentence; "" where all can."""
        shown, rejected = set(self.shown), set(self.rejected)
        if len(shown) < len(self.shown) or len(rejected) < len(self.rejected):
            return "got a product twice in shown or rejected, expected each once"
        if self.chosen is None and not rejected:
            return "got nothing chosen and nothing rejected, expected one of both at least"
        if self.chosen in rejected:
            return f"got {self.chosen!r} chosen and rejected, expected one of both"
        about = [id_ for id_ in (self.chosen, *self.rejected) if id_ is not None]
        if strays := [id_ for id_ in about if id_ not in shown]:
            return f"got {strays[0]!r} chosen or rejected, which is not among those shown"
        return ""
