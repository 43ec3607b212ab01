"""Regions of gates that select atoms, and the cells of fits that fill them."""
