"""
    optimisation_rule(; optimizer, learning_rate, momentum, weight_decay)

SGD with momentum or Adam, the decay added to the gradient before anything else: PyTorch's formulas. Optimisers.jl puts
the learning rate into the velocity and PyTorch multiplies it afterwards, which is the same while the rate is constant.

Throws `ArgumentError` for another optimizer than `"sgd"` and `"adam"`.
"""
function optimisation_rule(; optimizer, learning_rate, momentum, weight_decay)
    # A rate of zero decays nothing, and one type for both cases means one compilation.
    decay = WeightDecay(Float64(weight_decay))
    optimizer == "sgd" && return OptimiserChain(decay, Momentum(Float64(learning_rate), Float64(momentum)))
    optimizer == "adam" && return OptimiserChain(decay, Adam(Float64(learning_rate), (0.9, 0.999), 1e-8))
    throw(ArgumentError("unknown optimizer $(repr(optimizer)); there are sgd and adam"))
end
