"""Calls of the service that a test answers in its place, and what the page asked with them."""

import json

from services.http.messages import PictureSearchMessage, SearchMessage

WHY = {
    "words": [{"word": "mugs", "share": 0.08}, {"word": "<b>two</b>", "share": -0.02}],
    "wishes": [{"text": "something warm for early mornings", "similarity": 0.61}],
    "concepts": [{"name": "my mug", "share": 0.04}],
}
KEY = "right"


class ScriptedCalls:
    """Answers over the real service: it searches for the words, and the rest is added here."""

    def __init__(self, page):
        self.searches, self.pictures, self.feedback = [], [], []
        self.locked = False  # whether a key is wanted
        self._page = page
        page.route("**/v1/search", self._search)
        page.route("**/v1/search/image", self._search_picture)
        page.route("**/v1/feedback", self._feedback)
        page.route("**/v1/session", self._session)
        page.route("**/v1/model", self._model)
        self.model = {}  # what the description says beside the rest

    def _search(self, route):
        if self.locked:
            self._refuse(route)
            return
        asked = route.request.post_data_json
        self.searches.append(asked)
        SearchMessage.model_validate({key: asked[key] for key in asked if key != "explain"})
        self._answer(route, asked, asked.get("query", "alike"))

    def _search_picture(self, route):
        body = route.request.post_data_buffer
        self.pictures.append(body)
        text = body.split(b'name="search"\r\n\r\n')[1].split(b"\r\n")[0].decode()
        PictureSearchMessage.model_validate_json(text)
        self._answer(route, json.loads(text), "a picture")

    def _answer(self, route, asked, query):
        offset = asked.get("offset", 0)
        wanted = {
            "query": query,
            "k": asked["k"] + offset,
            "filter": asked["filter"],
            "model": asked["model"],
        }
        url = f"{route.request.url.split('/v1/')[0]}/v1/search"
        answer = self._page.request.post(url, data=wanted)
        body = answer.json()
        if answer.ok:
            hits = [hit for hit in body["hits"][offset:] if hit["product_id"] != asked.get("like")]
            body["hits"] = [{**hit, "why": WHY} for hit in hits] if asked.get("explain") else hits
        route.fulfill(response=answer, json=body)

    def _feedback(self, route):
        self.feedback.append(route.request.post_data_json)
        route.fulfill(status=204)

    def _session(self, route):
        if route.request.method == "DELETE":
            self.locked = True
        elif route.request.post_data_json["key"] == KEY:
            self.locked = False
        else:
            self._refuse(route, "there is no such key; `kindred keys list` names them")
            return
        route.fulfill(status=204)

    def _model(self, route):
        if self.locked:
            self._refuse(route)
            return
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), **self.model})

    def _refuse(self, route, detail="this service wants an API key"):
        problem = {"title": "Unauthorized", "status": 401, "detail": detail}
        route.fulfill(status=401, json=problem, content_type="application/problem+json")
