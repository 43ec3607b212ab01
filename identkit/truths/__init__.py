"""True measures with their settings, in exact numbers: published ones, repaired ones, your own."""
