"""Real Ray clusters on this machine; run by `make clusters`, never by `make test`."""
