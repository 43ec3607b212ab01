"""What routers of mixture-of-experts layers do: metrics of which experts were selected."""
