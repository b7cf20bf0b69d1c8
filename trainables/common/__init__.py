"""What every room may use: errors, files, processes, leases; never anything about training."""
