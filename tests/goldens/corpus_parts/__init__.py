"""The modules of `../corpus.py`."""
