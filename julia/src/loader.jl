# MLUtils' DataLoader makes the batches. With `parallel = n` it would give up their order, so here each of n threads has
# a DataLoader of its own over every n-th batch, and the batches are taken from the threads in turn: the round of
# PyTorch's worker processes.

# Features, and targets: classes from 0, or numbers (outputs, samples).
const Samples{N,T} = Tuple{Array{Float32,N},T}
const PREFETCH = 2 # batches per worker, PyTorch's default

batch_type(::Type{Samples{N,Vector{Int}}}) where {N} = Tuple{Array{Float32,N},OneHotMatrix{UInt32,Vector{UInt32}}}
batch_type(::Type{Samples{N,Matrix{Float32}}}) where {N} = Samples{N,Matrix{Float32}}

encoded(classes::Vector{Int}, outputs) = onehotbatch(classes, 0:(outputs - 1))
encoded(numbers::Matrix{Float32}, _) = numbers

"""Batches that are made one by one, each when it is asked for: `Iterators.Stateful` keeps one more in memory."""
mutable struct Batches
    source::Any
    state::Any # of the iteration; `nothing` before it begins
end

function Base.popfirst!(batches::Batches)
    batch, batches.state = isnothing(batches.state) ? iterate(batches.source) : iterate(batches.source, batches.state)
    return batch
end

"""The batches of one epoch, in order."""
struct Loader{B}
    sources::Vector{Channel{B}} # empty when the training loads for itself
    inline::Batches # then these
    taken::Base.RefValue{Int}
    tasks::Vector{Task}
end

function Loader(samples::S, outputs::Int, order::Vector{Int}, batch_size::Int, num_workers::Int) where {S<:Samples}
    B = batch_type(S)
    if num_workers == 0
        return Loader{B}([], Batches(batches(samples, outputs, order, batch_size), nothing), Ref(0), [])
    end
    cuts = collect(Iterators.partition(order, batch_size))
    tasks = Task[]
    sources = map(1:num_workers) do worker
        own = reduce(vcat, cuts[worker:num_workers:end]; init=Int[])
        task = Ref{Task}()
        source = Channel{B}(PREFETCH; spawn=true, taskref=task, threadpool=:interactive) do channel
            for batch in batches(samples, outputs, own, batch_size)
                put!(channel, batch)
            end
        end
        push!(tasks, task[])
        source
    end
    return Loader{B}(sources, Batches(B[], nothing), Ref(0), tasks)
end

function batches(samples::S, outputs, order, batch_size) where {S<:Samples}
    isempty(order) && return batch_type(S)[] # more workers than batches
    chosen = DataLoader(obsview(samples, order); batchsize=min(batch_size, length(order)))
    return ((features, encoded(targets, outputs)) for (features, targets) in chosen)
end

"""The next batch; waits for it."""
function next_batch!(loader::Loader{B})::B where {B}
    isempty(loader.sources) && return popfirst!(loader.inline)
    source = loader.sources[mod1(loader.taken[] += 1, length(loader.sources))]
    return take!(source)
end

"""End the worker tasks, also in the middle of an epoch."""
function close!(loader::Loader)
    foreach(close, loader.sources)
    for task in loader.tasks
        try
            wait(task)
        catch error
            error isa TaskFailedException || rethrow()
        end
    end
end

"""
    loader_threads(num_workers) -> Int

How many threads besides the training's own can really run that many loader tasks. The tasks belong to Julia's
interactive pool where there is one, and otherwise share the only pool with the training.
"""
function loader_threads(num_workers::Integer)
    pool = Threads.nthreads(:interactive) > 0 ? :interactive : :default
    return min(num_workers, Threads.nthreads(pool) - 1) # the main thread is in that pool
end
