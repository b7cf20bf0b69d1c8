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

function ExactMaxPool(window; stride=window, pad=(0, 0))
    prod(window) <= 256 || throw(ArgumentError("a window of $(prod(window)) elements; there may be 256"))
    return ExactMaxPool(window, stride, pad)
end

Flux.@layer ExactMaxPool trainable = ()

(pool::ExactMaxPool)(x::AbstractArray) =
    maxpool(x, PoolDims(x, pool.window; pool.stride, padding=pool.pad))
(pool::ExactMaxPool)(x::Array{<:Any,4}) = first(pool_forward(x, pool))

function ChainRulesCore.rrule(pool::ExactMaxPool, x::Array{<:Any,4})
    y, chosen = pool_forward(x, pool)
    size_in = size(x) # x itself need not live until the backward pass
    function pool_pullback(dy)
        return NoTangent(), pool_backward(ChainRulesCore.unthunk(dy), chosen, size_in, pool)
    end
    return y, pool_pullback
end

pooled(size_in, window, stride, pad) = (size_in + 2pad - window) ÷ stride + 1

# Known sizes let the compiler unroll the window, which is what makes this as fast as NNlib's.
function with_known_sizes(action, pool::ExactMaxPool)
    in_pairs(pool) && return action(Val((2, 2)), Val((2, 2)), Val((0, 0)))
    return action(Val(pool.window), Val(pool.stride), Val(pool.pad))
end

"""Maxima, and where in its window each was found: a byte, since positions are as much memory as maxima otherwise."""
function pool_forward(x::Array{T,4}, pool::ExactMaxPool) where {T}
    width, height, channels, samples = size(x)
    out_width = pooled(width, pool.window[1], pool.stride[1], pool.pad[1])
    out_height = pooled(height, pool.window[2], pool.stride[2], pool.pad[2])
    y = Array{T}(undef, out_width, out_height, channels, samples)
    chosen = Array{UInt8}(undef, size(y))
    if !(in_pairs(pool) && pool_pairs!(y, chosen, x))
        with_known_sizes((sizes...) -> pool_planes!(y, chosen, x, sizes...), pool)
    end
    return y, chosen
end

in_pairs(pool) = pool.window == (2, 2) && pool.stride == (2, 2) && pool.pad == (0, 0)

"""The same for windows of 2 x 2 side by side, several times as fast; false, and of no use, where there may be NaN."""
function pool_pairs!(y, chosen, x::Array{T,4}) where {T}
    total = zero(T) # NaN where any element is
    @inbounds for sample in axes(x, 4), channel in axes(x, 3), j in axes(y, 2)
        @simd for i in axes(y, 1)
            a, b = x[2i - 1, 2j - 1, channel, sample], x[2i, 2j - 1, channel, sample]
            c, d = x[2i - 1, 2j, channel, sample], x[2i, 2j, channel, sample]
            place, best = ifelse(b > a, 0x01, 0x00), ifelse(b > a, b, a)
            place, best = ifelse(c > best, 0x02, place), ifelse(c > best, c, best)
            place, best = ifelse(d > best, 0x03, place), ifelse(d > best, d, best)
            y[i, j, channel, sample] = best
            chosen[i, j, channel, sample] = place
            total += (a + b) + (c + d)
        end
    end
    return !isnan(total)
end

function pool_planes!(y, chosen, x, ::Val{window}, ::Val{stride}, ::Val{pad}) where {window,stride,pad}
    width, height = size(x, 1), size(x, 2)
    @inbounds for sample in axes(x, 4), channel in axes(x, 3), j in axes(y, 2), i in axes(y, 1)
        left, top = (i - 1) * stride[1] - pad[1], (j - 1) * stride[2] - pad[2]
        u, v = max(1 - left, 1), max(1 - top, 1) # the first in the image
        best, place = x[left + u, top + v, channel, sample], place_in_window(u, v, window)
        for v in 1:window[2], u in 1:window[1]
            column, row = left + u, top + v
            if pad == (0, 0) || (1 <= column <= width && 1 <= row <= height)
                value = x[column, row, channel, sample]
                if value > best || isnan(value)
                    best, place = value, place_in_window(u, v, window)
                end
            end
        end
        y[i, j, channel, sample] = best
        chosen[i, j, channel, sample] = place
    end
    return nothing
end

place_in_window(u, v, window) = ((u - 1) + (v - 1) * window[1]) % UInt8

function pool_backward(dy::AbstractArray{T,4}, chosen::Array{UInt8,4}, size_in, pool::ExactMaxPool) where {T}
    dx = zeros(T, size_in)
    with_known_sizes((sizes...) -> unpool_planes!(dx, dy, chosen, sizes...), pool)
    return dx
end

function unpool_planes!(dx, dy, chosen, ::Val{window}, ::Val{stride}, ::Val{pad}) where {window,stride,pad}
    @inbounds for sample in axes(dy, 4), channel in axes(dy, 3), j in axes(dy, 2), i in axes(dy, 1)
        v, u = divrem(Int(chosen[i, j, channel, sample]), window[1])
        column, row = (i - 1) * stride[1] - pad[1] + u + 1, (j - 1) * stride[2] - pad[2] + v + 1
        dx[column, row, channel, sample] += dy[i, j, channel, sample]
    end
    return nothing
end
