# For the proof that both frameworks compute the same: single steps, with everything that a step computes laid open.

"""A model and its optimiser in a given precision. Made by `start_trace`."""
struct Tracer{T,M,S}
    model::M
    optimiser_state::S
    outputs::Int
    Tracer{T}(model::M, state::S, outputs) where {T,M,S} = new{T,M,S}(model, state, outputs)
end

"""
    start_trace(; model, outputs, options, optimizer, momentum, weight_decay, precision, seed, threads) -> Tracer

Like `start`, on the CPU, in `precision` `"float32"` or `"float64"`, and with dropout switched off.
"""
function start_trace(; model, outputs, options=(;), optimizer, momentum, weight_decay, precision, seed, threads)
    set_threads(threads)
    rule = optimisation_rule(; optimizer, momentum, weight_decay)
    T = precision == "float64" ? Float64 : Float32
    return Base.invokelatest(begin_trace, T, Blueprint(model, options), rule, Int(outputs), Int(seed))
end

function begin_trace(T, blueprint, rule, outputs, seed)
    Random.seed!(seed)
    model = in_precision(T, blueprint())
    Flux.trainmode!(model)
    for layer in Flux.modules(model)
        layer isa Union{Dropout,AlphaDropout} && Flux.testmode!(layer)
    end
    return Tracer{T}(model, Flux.setup(rule, model), outputs)
end

in_precision(::Type{Float32}, model) = Flux.f32(model)

"""The constants of layers, too: an `eps` of 1f-5 means the number that PyTorch writes 1e-5."""
in_precision(::Type{Float64}, model) = fmap(in_float64, model; walk=Yielding())

"""Takes a model apart and puts it together; where it will not be put together with other numbers, they stay."""
struct Yielding <: Functors.AbstractWalk end

function (::Yielding)(recurse, layer)
    children, rebuilt = Functors.functor(layer)
    children isa AbstractDict && return rebuilt(Dict(name => recurse(child) for (name, child) in children))
    changed = map(recurse, children)
    try
        return rebuilt(changed)
    catch # a field of type Float32, say
        return rebuilt(map((before, now) -> before isa AbstractFloat ? before : now, children, changed))
    end
end

in_float64(array::AbstractArray{<:AbstractFloat}) = Float64.(array)
in_float64(number::Union{Float16,Float32}) =
    isfinite(number) ? parse(Float64, replace(string(number), 'f' => 'e')) : Float64(number)
in_float64(leaf) = leaf

"""
    trace_step!(tracer, features, targets, rate) -> (; loss, outputs, gradients)

One optimiser step, the same that `train!` takes: the loss and the outputs before it, and every gradient as pairs of
name and array, sizes reversed.
"""
function trace_step!(tracer::Tracer{T}, features, targets, rate) where {T}
    Optimisers.adjust!(tracer.optimiser_state, rate)
    encoded = encoded_in(T, targets, tracer.outputs)
    loss, outputs, gradient = step!(tracer.model, tracer.optimiser_state, T.(features), encoded)
    return (; loss, outputs, gradients=read_gradients(tracer.model, gradient))
end

encoded_in(_, classes::AbstractVector, outputs) = onehotbatch(Vector{Int}(classes), 0:(outputs - 1))
encoded_in(T, numbers::AbstractMatrix, _) = T.(numbers)

"""
    layer_inputs(tracer, features) -> Vector{Pair{String,Array}}

What goes into every layer that holds tensors, in the order of the computation, and last, under the empty name, what the
model gives. It is a copy of the model that computes them: nothing changes.
"""
function layer_inputs(tracer::Tracer{T}, features) where {T}
    found = Pair{String,Array}[]
    model = deepcopy(tracer.model)
    named = (each for each in tensors(model) if !isempty(each.prefix) && callable(each.layer))
    names = IdDict{Any,String}(each.layer => each.prefix for each in named)
    push!(found, "" => Array(noting(model, names, found)(T.(features))))
    return found
end

"""The same layer, in which every one that has a name notes what it is given; one that cannot hold others as it is."""
function noting(layer, names, found)
    children, rebuilt = Functors.functor(layer)
    inner = try
        isempty(children) ? layer : rebuilt(map(child -> noting(child, names, found), children))
    catch
        layer
    end
    return haskey(names, layer) ? Noted(inner, names[layer], found) : inner
end

callable(::Union{Tuple,NamedTuple,AbstractArray,AbstractDict}) = false
callable(_) = true

"""A layer that notes what it is first given; whatever else is asked of it, it is that layer."""
struct Noted{L}
    layer::L
    name::String
    found::Vector{Pair{String,Array}}
end

function (noted::Noted)(x, others...)
    name, found = getfield(noted, :name), getfield(noted, :found)
    x isa AbstractArray && all(each -> first(each) != name, found) && push!(found, name => as_pytorchs(x))
    return getfield(noted, :layer)(x, others...)
end

Base.getproperty(noted::Noted, name::Symbol) = getproperty(getfield(noted, :layer), name)

as_pytorchs(indices::AbstractArray{<:Integer}) = Array{Int64}(indices .- 1) # an embedding's, which it counts from 0
as_pytorchs(values::AbstractArray) = Array(values) # a copy, or the layer's very input, which nothing writes into

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
