"""What a person reads of an experiment: the table in the terminal, one HTML page, one CSV file."""

from sermm.report.page import write_report
from sermm.report.terminal import print_summary

__all__ = ["print_summary", "write_report"]
