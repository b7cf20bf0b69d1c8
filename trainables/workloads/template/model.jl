using Flux

# The same model in Flux: layers with parameters in the same order. `tuneoff verify` proves that it is the same.
build(; hidden, dropout) = Chain(
    Dense(2 => hidden, relu),
    Dropout(dropout),
    Dense(hidden => hidden, relu),
    Dropout(dropout),
    Dense(hidden => 3),
)
