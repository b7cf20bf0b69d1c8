# MLUtils' DataLoader makes the batches. With `parallel = n` it would give up their order, so here each of n threads has
# a DataLoader of its own over every n-th batch, and the batches are taken from the threads in turn: the round of
# PyTorch's worker processes.

const Samples = Tuple{Array{Float32,4},Vector{Int}} # images, labels
const Batch = Tuple{Array{Float32,4},OneHotMatrix{UInt32,Vector{UInt32}}}
const LABELS = 0:(CLASSES - 1)
const PREFETCH = 2 # batches per worker, PyTorch's default

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
struct Loader
    sources::Vector{Channel{Batch}} # empty when the training loads for itself
    inline::Batches # then these
    taken::Base.RefValue{Int}
    tasks::Vector{Task}
end

function Loader(samples::Samples, order::Vector{Int}, batch_size::Int, num_workers::Int)
    if num_workers == 0
        return Loader([], Batches(batches(samples, order, batch_size), nothing), Ref(0), [])
    end
    cuts = collect(Iterators.partition(order, batch_size))
    tasks = Task[]
    sources = map(1:num_workers) do worker
        own = reduce(vcat, cuts[worker:num_workers:end]; init=Int[])
        task = Ref{Task}()
        source = Channel{Batch}(PREFETCH; spawn=true, taskref=task, threadpool=:interactive) do channel
            for batch in batches(samples, own, batch_size)
                put!(channel, batch)
            end
        end
        push!(tasks, task[])
        source
    end
    return Loader(sources, Batches(Batch[], nothing), Ref(0), tasks)
end

function batches(samples, order, batch_size)
    isempty(order) && return Batch[] # more workers than batches
    chosen = DataLoader(obsview(samples, order); batchsize=min(batch_size, length(order)))
    return ((images, onehotbatch(labels, LABELS)) for (images, labels) in chosen)
end

"""The next batch; waits for it."""
function next_batch!(loader::Loader)::Batch
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
