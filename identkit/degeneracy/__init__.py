"""Second-order nondegeneracy (theory section 4): which moments of an over-specified cell show."""
