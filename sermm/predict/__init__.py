"""What a trained model says of new recordings.

find a model (``source.py``) -> load it (``trained.py``) -> recordings (``listing.py``)
-> samples, prepared as in training (``encoding.py``) -> predictions (``predictor.py``)
-> JSON lines, CSV or a table (``output.py``)
"""
