"""The parts of the generator in `../corpus.py`."""
