"""Speech + text emotion recognition experiments: models, runs, plans, reports, command line."""

__version__ = "0.1.0"
