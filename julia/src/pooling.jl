# NNlib's own max-pooling finds the element that a gradient belongs to again in the backward pass, and takes the first
# that is *approximately* the maximum (`y ≈ x`: for Float32 within 3.5e-4; NNlib 0.9.36, src/impl/pooling_direct.jl).
# A near tie then sends the gradient to the wrong pixel. Here the forward pass remembers the position, as PyTorch does.

"""
    ExactMaxPool(window; stride = window, pad = (0, 0))

Max-pooling over width and height, with the gradient going to exactly the element that was the maximum; among equals to
the first in memory order, as in PyTorch. On other devices than the CPU this is `NNlib.maxpool`.
"""
struct ExactMaxPool
    window::NTuple{2,Int}
    stride::NTuple{2,Int}
    pad::NTuple{2,Int}
end

ExactMaxPool(window; stride=window, pad=(0, 0)) = ExactMaxPool(window, stride, pad)

Flux.@layer ExactMaxPool trainable = ()

(pool::ExactMaxPool)(x::AbstractArray) =
    maxpool(x, PoolDims(x, pool.window; pool.stride, padding=pool.pad))
(pool::ExactMaxPool)(x::Array{<:Any,4}) = first(pool_forward(x, pool))

function ChainRulesCore.rrule(pool::ExactMaxPool, x::Array{<:Any,4})
    y, chosen = pool_forward(x, pool)
    function pool_pullback(dy)
        dx = pool_backward(ChainRulesCore.unthunk(dy), chosen, size(x))
        return NoTangent(), dx
    end
    return y, pool_pullback
end

pooled(size_in, window, stride, pad) = (size_in + 2pad - window) ÷ stride + 1

"""Maxima, and where each was found: the linear index into its channel's plane."""
function pool_forward(x::Array{T,4}, pool::ExactMaxPool) where {T}
    width, height, channels, samples = size(x)
    out_width = pooled(width, pool.window[1], pool.stride[1], pool.pad[1])
    out_height = pooled(height, pool.window[2], pool.stride[2], pool.pad[2])
    y = Array{T}(undef, out_width, out_height, channels, samples)
    chosen = Array{Int32}(undef, size(y))
    # Known sizes let the compiler unroll the window, which is what makes this as fast as NNlib's.
    if pool.window == (2, 2) && pool.stride == (2, 2) && pool.pad == (0, 0)
        pool_planes!(y, chosen, x, Val((2, 2)), Val((2, 2)), Val((0, 0)))
    else
        pool_planes!(y, chosen, x, Val(pool.window), Val(pool.stride), Val(pool.pad))
    end
    return y, chosen
end

function pool_planes!(y, chosen, x, ::Val{window}, ::Val{stride}, ::Val{pad}) where {window,stride,pad}
    width, height = size(x, 1), size(x, 2)
    @inbounds for sample in axes(x, 4), channel in axes(x, 3), j in axes(y, 2), i in axes(y, 1)
        left, top = (i - 1) * stride[1] - pad[1], (j - 1) * stride[2] - pad[2]
        column, row = max(left, 0) + 1, max(top, 0) + 1
        best, place = x[column, row, channel, sample], column + (row - 1) * width
        for v in 1:window[2], u in 1:window[1]
            column, row = left + u, top + v
            if pad == (0, 0) || (1 <= column <= width && 1 <= row <= height)
                value = x[column, row, channel, sample]
                if value > best || isnan(value)
                    best, place = value, column + (row - 1) * width
                end
            end
        end
        y[i, j, channel, sample] = best
        chosen[i, j, channel, sample] = place
    end
    return nothing
end

function pool_backward(dy::AbstractArray{T,4}, chosen::Array{Int32,4}, size_in) where {T}
    dx = zeros(T, size_in)
    planes = reshape(dx, :, size_in[3] * size_in[4])
    @inbounds for plane in axes(planes, 2)
        offset = (plane - 1) * size(dy, 1) * size(dy, 2)
        for k in 1:(size(dy, 1) * size(dy, 2))
            planes[chosen[offset + k], plane] += dy[offset + k]
        end
    end
    return dx
end
