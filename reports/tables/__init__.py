"""Tables, DataFrame in and out, with the statistics they need; never a figure or HTML."""
