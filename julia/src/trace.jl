# For the proof that both frameworks compute the same: single steps, with everything that a step computes laid open.

"""A model and its optimiser in a given precision. Made by `start_trace`."""
struct Tracer{T,M,S}
    model::M
    optimiser_state::S
    Tracer{T}(model::M, state::S) where {T,M,S} = new{T,M,S}(model, state)
end

"""
    start_trace(; model, parameters, learning_rate, optimizer, momentum, weight_decay, precision, threads) -> Tracer

Like `start`, on the CPU, in `precision` `"float32"` or `"float64"`.
"""
function start_trace(; model, parameters, learning_rate, optimizer, momentum, weight_decay, precision, threads)
    set_threads(threads)
    T = precision == "float64" ? Float64 : Float32
    built = build(model, T)
    write_tensors!(built, parameters)
    Flux.trainmode!(built)
    rule = optimisation_rule(; optimizer, learning_rate, momentum, weight_decay)
    return Tracer{T}(built, Flux.setup(rule, built))
end

"""
    trace_step!(tracer, images, labels) -> (; loss, logits, gradients)

One optimiser step, the same that `train!` takes: the loss and the logits (10, batch) before it, and every gradient as
pairs of name and array, sizes reversed.
"""
function trace_step!(tracer::Tracer{T}, images, labels) where {T}
    onehot = onehotbatch(Vector{Int}(labels), LABELS)
    loss, logits, gradient = step!(tracer.model, tracer.optimiser_state, Array{T,4}(images), onehot)
    return (; loss, logits, gradients=read_gradients(tracer.model, gradient))
end

"""
    parameters(tracer) -> Vector{Pair{String,Array}}

Like `parameters(run)`, in the tracer's precision.
"""
parameters(tracer::Tracer) = read_tensors(tracer.model)

"""
    load_parameters!(tracer, arrays)

Like `load_parameters!(run, arrays)`; the optimiser's state stays.
"""
function load_parameters!(tracer::Tracer, arrays)
    write_tensors!(tracer.model, arrays)
    return nothing
end
