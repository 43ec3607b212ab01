"""From a mixture-of-experts layer of a network to what can be identified in it."""
