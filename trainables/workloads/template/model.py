from torch import nn


def build(hidden, dropout):
    """The model in PyTorch, called with the options; its own constructors draw the weights, for both frameworks."""
    return nn.Sequential(
        nn.Linear(2, hidden),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, 3),
    )
