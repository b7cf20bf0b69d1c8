# How tensors travel: with names, in an order, and in memory as PyTorch has them. A C-order array of shape (out, in,
# height, width) is, read by Julia, an array of size (width, height, in, out): "reversed" below.

"""One tensor of a model: its name, the array that holds it, and how it is laid out."""
struct Tensor{A<:AbstractArray}
    name::String
    array::A
    layout::Symbol # :kernel, whose windows are flipped; :matrix, (out, in) on both sides; :memory, as PyTorch's
    trained::Bool
    layer::Any # whose it is
    prefix::String # the layer's name
end

"""
    tensors(model) -> Vector{Tensor}

All parameters and statistics of a model, in the order of its layers and their fields. The names are those of named
layers and of fields, and for the parameters of Flux's layers PyTorch's; what has no name has its place, from 0.
"""
function tensors(model)
    found = Tensor[]
    collect_tensors!(found, model, "", true)
    return found
end

under(prefix, name) = isempty(prefix) ? string(name) : "$prefix.$name"

"""Any layer: what its fields hold. Flux trains what `trainable` names; the rest is kept, too."""
function collect_tensors!(found, layer, prefix, trained)
    learning = Optimisers.trainable(layer)
    for (name, child) in named(Functors.children(layer))
        learns = trained && (learning isa NamedTuple ? haskey(learning, name) : !isempty(learning))
        if child isa AbstractArray{<:AbstractFloat}
            add!(found, layer, prefix, name, child, :memory, learns)
        else
            collect_tensors!(found, child, under(prefix, name), learns)
        end
    end
end

named(children::NamedTuple) = pairs(children)
named(children::AbstractDict) = sort!(collect(pairs(children)); by=string ∘ first)
named(children) = zip(0:(length(children) - 1), children)

"""Add one of a layer's own, where it has it: `bias=false` says that it has none."""
add!(found, layer, prefix, name, array::AbstractArray, layout, trained) =
    push!(found, Tensor(under(prefix, name), array, layout, trained, layer, prefix))
add!(_, _, _, _, _, _, _) = nothing

# Layers that hold others have no name for them that PyTorch would have.
collect_tensors!(found, layer::Union{Chain,Maxout}, prefix, trained) =
    collect_tensors!(found, layer.layers, prefix, trained)
function collect_tensors!(found, layer::Union{Parallel,PairwiseFusion,SkipConnection}, prefix, trained)
    collect_tensors!(found, layer.layers, prefix, trained)
    collect_tensors!(found, layer.connection, under(prefix, "connection"), trained)
end

function collect_tensors!(found, layer::Union{Conv,ConvTranspose}, prefix, trained)
    add!(found, layer, prefix, "weight", layer.weight, :kernel, trained)
    add!(found, layer, prefix, "bias", layer.bias, :memory, trained)
end

function collect_tensors!(found, layer::Union{Dense,Flux.Bilinear}, prefix, trained)
    add!(found, layer, prefix, "weight", layer.weight, :matrix, trained)
    add!(found, layer, prefix, "bias", layer.bias, :memory, trained)
end

function collect_tensors!(found, layer::Flux.Scale, prefix, trained)
    add!(found, layer, prefix, "weight", layer.scale, :memory, trained)
    add!(found, layer, prefix, "bias", layer.bias, :memory, trained)
end

function collect_tensors!(found, layer::LayerNorm, prefix, trained)
    layer.diag isa Flux.Scale || return
    add!(found, layer, prefix, "weight", layer.diag.scale, :memory, trained)
    add!(found, layer, prefix, "bias", layer.diag.bias, :memory, trained)
end

function collect_tensors!(found, layer::Union{BatchNorm,InstanceNorm,GroupNorm}, prefix, trained)
    add!(found, layer, prefix, "weight", layer.γ, :memory, trained)
    add!(found, layer, prefix, "bias", layer.β, :memory, trained)
    add!(found, layer, prefix, "running_mean", layer.μ, :memory, false)
    add!(found, layer, prefix, "running_var", layer.σ², :memory, false)
end

reversed(array, layout) =
    layout == :kernel ? reverse(array; dims=ntuple(identity, ndims(array) - 2)) :
    layout == :matrix ? permutedims(array, ndims(array):-1:1) : copy(array)

reversed_size(tensor::Tensor) = tensor.layout == :matrix ? reverse(size(tensor.array)) : size(tensor.array)

"""
    parameter_count(model) -> Int

Trained scalars, running statistics left out.
"""
parameter_count(model) = sum(length(tensor.array) for tensor in tensors(model) if tensor.trained)

"""
    read_tensors(model) -> Vector{Pair{String,Array}}

Copies of all tensors on the CPU, reversed.
"""
read_tensors(model) =
    Pair{String,Array}[tensor.name => reversed(Array(tensor.array), tensor.layout) for tensor in tensors(model)]

"""
    write_tensors!(model, arrays)

Set what `read_tensors` returns; `arrays` maps names to reversed arrays.

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
    size(array) == reversed_size(tensor) ||
        throw(ArgumentError("tensor $(tensor.name) has size $(size(array)); it must be $(reversed_size(tensor))"))
    copyto!(tensor.array, reversed(array, tensor.layout))
    return nothing
end

"""
    read_gradients(model, gradient) -> Vector{Pair{String,Array}}

The gradient of every trained tensor, reversed, zeros where the loss does not depend on it; `gradient` is what
`Flux.withgradient` gave.
"""
function read_gradients(model, gradient)
    arrays = IdDict{Any,Any}() # parameter array => its gradient
    pair_up!(arrays, model, gradient)
    return Pair{String,Array}[
        tensor.name => reversed(Array(get(() -> zero(tensor.array), arrays, tensor.array)), tensor.layout) for
        tensor in tensors(model) if tensor.trained
    ]
end

# An array that occurs twice is one parameter.
pair_up!(arrays, array::AbstractArray{<:AbstractFloat}, gradient::AbstractArray) =
    arrays[array] = haskey(arrays, array) ? arrays[array] .+ gradient : gradient
pair_up!(arrays, layer, gradient::Union{Tuple,NamedTuple}) =
    foreach(key -> pair_up!(arrays, getfield(layer, key), getfield(gradient, key)), keys(gradient))
pair_up!(arrays, layers::AbstractArray, gradients::AbstractArray) =
    foreach((layer, gradient) -> pair_up!(arrays, layer, gradient), layers, gradients)
pair_up!(arrays, layers::AbstractDict, gradients::AbstractDict) =
    foreach(key -> pair_up!(arrays, layers[key], gradients[key]), keys(gradients))
pair_up!(_, _, _) = nothing
