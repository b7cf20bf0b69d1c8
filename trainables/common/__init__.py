"""What every room may use: errors, files, processes, helpers, leases; never anything about training."""
