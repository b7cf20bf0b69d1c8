"""
    optimisation_rule(; optimizer, momentum, weight_decay)

PyTorch's formulas; the learning rate is set before every step, with `Optimisers.adjust!`.

- `"sgd"`: `v = momentum * v + g`, `p -= rate * v`; `"nesterov"`: `p -= rate * (g + momentum * v)`;
- `"adam"` and `"adamw"`: betas (0.9, 0.999), eps 1e-8;
- `weight_decay` is added to the gradient before anything else; of adamw: `p -= rate * weight_decay * p`.

Throws `ArgumentError` for another optimizer.
"""
function optimisation_rule(; optimizer, momentum, weight_decay)
    # A rate of zero decays nothing, and one type for both cases means one compilation.
    decay = WeightDecay(Float64(weight_decay))
    optimizer == "sgd" && return OptimiserChain(decay, Velocity(Val(false), momentum))
    optimizer == "nesterov" && return OptimiserChain(decay, Velocity(Val(true), momentum))
    optimizer == "adam" && return OptimiserChain(decay, Adam(0.0, (0.9, 0.999), 1e-8))
    optimizer == "adamw" && return AdamW(0.0, (0.9, 0.999), Float64(weight_decay), 1e-8)
    throw(ArgumentError("unknown optimizer $(repr(optimizer)); there are adam, adamw, nesterov and sgd"))
end

"""
SGD with momentum. What is kept is the velocity times the rate, as in Optimisers.jl's `Momentum`, whose results these
are to the bit while the rate stays; for another rate it is scaled anew, so that the rate is outside of the velocity.
"""
struct Velocity{N} <: AbstractRule
    nesterov::Val{N}
    eta::Float64 # the rate
    rho::Float64
    scale::Float64 # of what is kept, after the next step: the rate, or the last one above 0
    former::Float64 # before it
end

Velocity(nesterov, rho) = Velocity(nesterov, 0.0, Float64(rho), 1.0, 1.0)

Optimisers.adjust(rule::Velocity, eta::Real) =
    Velocity(rule.nesterov, Float64(eta), rule.rho, eta > 0 ? Float64(eta) : rule.scale, rule.scale)

Optimisers.init(::Velocity, x::AbstractArray) = zero(x)

function Optimisers.apply!(rule::Velocity{N}, velocity, x::AbstractArray{T}, dx) where {N,T}
    scale, carried = T(rule.scale), T(rule.rho * (rule.scale / rule.former))
    if N
        share, rho = T(rule.eta / rule.scale), T(rule.rho)
        @. velocity = carried * velocity + scale * dx
        return velocity, Optimisers.@lazy share * (scale * dx + rho * velocity)
    end
    @. velocity = carried * velocity + scale * dx
    return velocity, rule.eta > 0 ? velocity : zero(velocity)
end
