"""PyTorch's own backend with its models compiled by inductor; never a training step of its own."""
