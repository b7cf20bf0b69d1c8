# How tensors travel: under PyTorch's names, in PyTorch's order, and in memory as PyTorch has them. A C-order array of
# shape (out, in, height, width) is, read by Julia, an array of size (width, height, in, out): "reversed" below.

"""One tensor of a model: its name, the array that holds it, and how to copy it in and out in reversed layout."""
struct Tensor{A<:AbstractArray}
    name::String
    array::A
    kind::Symbol # :kernel, :matrix or :vector
    trained::Bool
end

"""
    tensors(model) -> Vector{Tensor}

All parameters and BatchNorm statistics of a model, in the canonical order (that of PyTorch's `state_dict`).
"""
function tensors(model)
    found = Tensor[]
    collect_tensors!(found, model, "")
    return found
end

under(prefix, name) = isempty(prefix) ? string(name) : "$prefix.$name"

function collect_tensors!(found, chain::Chain, prefix)
    names = chain.layers isa NamedTuple ? keys(chain.layers) : 0:(length(chain) - 1)
    for (name, layer) in zip(names, values(chain.layers))
        collect_tensors!(found, layer, under(prefix, name))
    end
end

function collect_tensors!(found, block::BasicBlock, prefix)
    for name in fieldnames(BasicBlock)
        collect_tensors!(found, getfield(block, name), under(prefix, name))
    end
end

function collect_tensors!(found, layer::Conv, prefix)
    push!(found, Tensor(under(prefix, "weight"), layer.weight, :kernel, true))
    layer.bias isa AbstractArray && push!(found, Tensor(under(prefix, "bias"), layer.bias, :vector, true))
end

function collect_tensors!(found, layer::Dense, prefix)
    push!(found, Tensor(under(prefix, "weight"), layer.weight, :matrix, true))
    push!(found, Tensor(under(prefix, "bias"), layer.bias, :vector, true))
end

function collect_tensors!(found, layer::BatchNorm, prefix)
    push!(found, Tensor(under(prefix, "weight"), layer.γ, :vector, true))
    push!(found, Tensor(under(prefix, "bias"), layer.β, :vector, true))
    push!(found, Tensor(under(prefix, "running_mean"), layer.μ, :vector, false))
    push!(found, Tensor(under(prefix, "running_var"), layer.σ², :vector, false))
end

collect_tensors!(_, layer, _) = nothing # pooling, flattening, activations

# Flux's convolution flips its kernel, PyTorch's does not; a dense weight is (out, in) in both, so reversed it is
# (in, out).
reversed(array, kind) = reversed(array, Val(kind))
reversed(array, ::Val{:kernel}) = reverse(array; dims=(1, 2))
reversed(array, ::Val{:matrix}) = permutedims(array)
reversed(array, ::Val{:vector}) = copy(array)

"""
    parameter_count(model) -> Int

Trained scalars, BatchNorm's running statistics left out.
"""
parameter_count(model) = sum(length(tensor.array) for tensor in tensors(model) if tensor.trained)

"""
    read_tensors(model) -> Vector{Pair{String,Array}}

Copies of all tensors on the CPU, in reversed layout and canonical order.
"""
read_tensors(model) =
    Pair{String,Array}[tensor.name => reversed(Array(tensor.array), tensor.kind) for tensor in tensors(model)]

"""
    write_tensors!(model, arrays)

Set what `read_tensors` returns; `arrays` maps names to arrays in reversed layout.

Throws `ArgumentError` when a name is missing, unknown or of another size.
"""
function write_tensors!(model, arrays)
    expected = tensors(model)
    unknown = setdiff(String[string(name) for name in keys(arrays)], [tensor.name for tensor in expected])
    isempty(unknown) || throw(ArgumentError("the model has no tensor $(join(unknown, ", "))"))
    for tensor in expected
        haskey(arrays, tensor.name) || throw(ArgumentError("tensor $(tensor.name) is missing"))
        write_tensor!(tensor, arrays[tensor.name])
    end
    return model
end

function write_tensor!(tensor::Tensor, array)
    given = reversed(array, tensor.kind)
    size(given) == size(tensor.array) || throw(
        ArgumentError("tensor $(tensor.name) has size $(size(given)); it must be $(size(tensor.array))"),
    )
    copyto!(tensor.array, given)
    return nothing
end

"""
    read_gradients(model, gradient) -> Vector{Pair{String,Array}}

The gradient of every trained tensor, reversed, in canonical order; `gradient` is what `Flux.withgradient` gave.
"""
function read_gradients(model, gradient)
    arrays = IdDict{Any,Any}() # parameter array => its gradient; each array of these models occurs once
    pair_up!(arrays, model, gradient)
    return Pair{String,Array}[
        tensor.name => reversed(Array(arrays[tensor.array]), tensor.kind) for tensor in tensors(model) if tensor.trained
    ]
end

pair_up!(arrays, array::AbstractArray{<:AbstractFloat}, gradient::AbstractArray) = arrays[array] = gradient
pair_up!(arrays, layer, gradient::Union{Tuple,NamedTuple}) =
    foreach(key -> pair_up!(arrays, getfield(layer, key), getfield(gradient, key)), keys(gradient))
pair_up!(_, _, _) = nothing

"""
    initial_parameters(model; rng = default_rng()) -> Dict{String,Array{Float32}}

Weights in PyTorch's default distributions, uniform within 1/sqrt(fan_in) for weights and biases, ones and zeros for
BatchNorm: what `start` takes as `parameters`. A study draws them in Python instead, once for both frameworks.
"""
function initial_parameters(model::AbstractString; rng::AbstractRNG=default_rng())
    arrays = Dict{String,Array{Float32}}()
    bound = 0.0f0
    for (name, array) in read_tensors(build(model))
        if ndims(array) > 1 # a weight; the bias that may follow has the same bound
            bound = 1 / sqrt(Float32(length(array) ÷ size(array, ndims(array))))
            arrays[name] = bound .* (2 .* rand(rng, Float32, size(array)) .- 1)
        elseif occursin(r"(bn\d|downsample\.1)\.", name)
            arrays[name] = fill(endswith(name, r"weight|running_var") ? 1.0f0 : 0.0f0, size(array))
        else
            arrays[name] = bound .* (2 .* rand(rng, Float32, size(array)) .- 1)
        end
    end
    return arrays
end
