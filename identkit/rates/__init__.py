"""Rate experiments: settings, fits of simulated data, slopes, sweeps, store, figures, page."""
