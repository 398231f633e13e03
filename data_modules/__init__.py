"""Corpora to tensors: readers, labels, protocols, alignment, feature cache, data modules.

Nothing here imports ``sermm``; the two packages meet in :class:`data_modules.batch.Batch`.
"""
