"""Certificates: how a verdict is proved, saved and verified from the file alone."""
