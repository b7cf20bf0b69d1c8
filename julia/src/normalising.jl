# Flux's LayerNorm (0.16) adds the *square* of its `eps` to the variance: 1e-10 where PyTorch adds 1e-5.

"""
    ExactLayerNorm(sizes...; eps = 1f-5)

Normalise over the first dimensions, which have these sizes, then scale and shift each element: PyTorch's LayerNorm,
`(x - mean) / sqrt(var + eps) * weight + bias`.
"""
struct ExactLayerNorm{A,T}
    weight::A
    bias::A
    eps::T
end

Flux.@layer :noexpand ExactLayerNorm

ExactLayerNorm(sizes::Integer...; eps=1.0f-5) = ExactLayerNorm(ones(Float32, sizes), zeros(Float32, sizes), eps)

function (layer::ExactLayerNorm)(x::AbstractArray{T}) where {T}
    dims = ntuple(identity, ndims(layer.weight))
    middle = mean(x; dims)
    spread = sqrt.(var(x; dims, mean=middle, corrected=false) .+ T(layer.eps))
    return (x .- middle) ./ spread .* layer.weight .+ layer.bias
end

Base.show(io::IO, layer::ExactLayerNorm) = print(io, "ExactLayerNorm(", join(size(layer.weight), ", "), ")")
