"""Tokenizers, used by one thread at a time.

One of transformers keeps how it cuts and pads as its state, and sets it before each call: of two
threads one would read texts as the other asked for it. A long text would not be cut, or the rows
of a batch not be equally long.
"""

import threading

TURN = threading.Lock()  # held while a tokenizer is called
