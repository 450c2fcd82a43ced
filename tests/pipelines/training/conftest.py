"""The models that the tests of `retrieval` make on the spot."""

from tests.retrieval.conftest import make_clip, make_tiny, make_tower, minilm, pictures

__all__ = ["make_clip", "make_tiny", "make_tower", "minilm", "pictures"]
