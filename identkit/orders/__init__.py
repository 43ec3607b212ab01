"""Orders: where second order fails, how slow a direction is, and by which proof."""
