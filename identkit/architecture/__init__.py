"""Gauges of an architecture: other parameters with the same f or p, found and proved."""
