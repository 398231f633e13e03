"""Hyper-parameter search: W&B's sweep files, run by W&B's agents or locally with Optuna.

``file.py`` reads, ``check.py`` refuses what cannot work before anything runs, ``local.py`` searches
without an account, ``wandb_sweep.py`` with one. Every trial is a `sermm trial` of its own.
"""
