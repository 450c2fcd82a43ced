"""A page as a browser and a reader have it."""

import re
from html.parser import HTMLParser

VOID = {"meta", "link", "img", "line", "circle", "rect", "polyline"}
SHAPES = {"line", "circle", "rect", "polyline"}
EVIL = "<script>alert(1)</script> \"onmouseover='steal()' & <img src=x> {{ 7 * 7 }}"


class Page(HTMLParser):
    """Every element with its attributes; fails on tags that do not nest."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.open, self.words = [], [], []
        self.feed(html)
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert tag in SHAPES, f"<{tag}/> closes itself in SVG alone"
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    def all(self, tag, **attrs):
        return [has for name, has in self.elements if name == tag and attrs.items() <= has.items()]

    @property
    def text(self):
        """What is read, with plain hyphens for dashes and minus signs and one space for any."""
        plain = {ord("\N{EN DASH}"): "-", ord("\N{MINUS SIGN}"): "-"}
        return " ".join(" ".join(self.words).split()).translate(plain)


def stands_alone(html):
    """That nothing is fetched and nothing runs; the addresses of the files that it links to."""
    page = Page(html)
    assert html.startswith("<!doctype html>")
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "iframe", "object", "embed", "base", "form", "use", "image"}
    addresses = [
        value
        for tag, attrs in page.elements
        for name, value in attrs.items()
        if name in {"src", "href", "srcset", "poster", "data", "action"}
        and not (tag == "a" and not re.match(r"#|\w+:", value))
    ]
    assert addresses
    assert all(value.startswith(("data:", "#")) for value in addresses)
    assert not re.search(r"url\(|@import|https?:", html)
    ids = {attrs["id"] for _, attrs in page.elements if "id" in attrs}
    assert {value[1:] for value in addresses if value.startswith("#")} <= ids
    assert not any(name.startswith("on") for _, attrs in page.elements for name in attrs)
    links = {attrs["href"] for attrs in page.all("a")}
    return {link for link in links if not link.startswith("#")}
