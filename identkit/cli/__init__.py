"""The command line, one file for each command: its options, a call of the library, its output.

A command's file is imported with the parser, so it imports what it calls only when it runs.
"""

from identkit.cli.main import build_parser, main

__all__ = ["build_parser", "main"]
