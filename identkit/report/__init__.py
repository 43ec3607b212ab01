"""Printing: terminal, JSON, LaTeX, Markdown, HTML. Nothing here computes."""
