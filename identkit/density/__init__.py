"""Conditional densities: mixtures of experts fitted by maximum likelihood."""
