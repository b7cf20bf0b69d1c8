"""PyTorch behind the contract, and the models in it; never a clock, and nothing of another framework."""
