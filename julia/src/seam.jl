# How a program that holds this Julia in its own process calls: C functions that take numbers, C strings and addresses.
# Nothing of the caller's language has to be converted, so nothing has to be compiled at the first call: precompile.jl
# goes through these very functions. A function returns C_NULL, or the text of what went wrong.

"""An array in the caller's memory, with its sizes in Julia's order. The caller keeps it until the call, or the run, ends."""
struct Lent
    name::Cstring
    address::Ptr{Cvoid}
    type::Int32 # place in `LENT_TYPES`, from 0
    dimensions::Int32
    sizes::NTuple{4,Int64} # ones after the last dimension
end

const LENT_TYPES = (Float32, Float64, Int64)

"""What `start` and `start_trace` are asked for; a trace reads what is its own."""
struct Settings
    model::Cstring
    optimizer::Cstring
    precision::Cstring
    memory_format::Cstring
    device::Cstring
    learning_rate::Float64
    momentum::Float64
    weight_decay::Float64
    batch_size::Int64
    num_workers::Int64
    data_on_device::Int64
    threads::Int64
end

"""What a caller lends for these arrays, and must keep: for precompile.jl and the tests, which call as one does."""
lend(arrays::AbstractDict{String}) = Lent[lend(name, array) for (name, array) in arrays]
lend(name::String, array::Array{T,N}) where {T,N} = Lent(
    Base.unsafe_convert(Cstring, name),
    pointer(array),
    findfirst(==(T), LENT_TYPES) - 1,
    N,
    ntuple(dimension -> size(array, dimension), 4),
)

const HELD = Dict{Int64,Any}() # runs and tracers by the number that the caller has for them
const LAST_HELD = Ref(0)
const FAILURE = Ref("") # keeps the text of the last failure for the caller to read

function c_start(held, settings, data, splits, parameters, tensors)
    return telling() do
        asked = unsafe_load(settings)
        given = borrowed(data, splits) # "train/images", "train/labels", ...
        run = start(;
            model=unsafe_string(asked.model),
            data=Dict(
                String(first(split(name, '/'))) => (images, given[replace(name, "images" => "labels")]) for
                (name, images) in given if endswith(name, "/images")
            ),
            parameters=borrowed(parameters, tensors),
            learning_rate=asked.learning_rate,
            batch_size=asked.batch_size,
            num_workers=asked.num_workers,
            optimizer=unsafe_string(asked.optimizer),
            momentum=asked.momentum,
            weight_decay=asked.weight_decay,
            precision=unsafe_string(asked.precision),
            memory_format=unsafe_string(asked.memory_format),
            data_on_device=asked.data_on_device != 0,
            device=unsafe_string(asked.device),
            threads=asked.threads,
        )
        unsafe_store!(held, hold!(run))
    end
end

c_warm_up(held) = telling(() -> warm_up!(HELD[held]))

c_begin_epoch(held, order, samples) = telling(() -> begin_epoch!(HELD[held], unsafe_wrap(Array, order, samples)))

function c_train(held, batches, loss, samples, data_s)
    return telling() do
        progress = train!(HELD[held], batches)
        unsafe_store!(loss, progress.loss)
        unsafe_store!(samples, progress.samples)
        unsafe_store!(data_s, progress.data_s)
    end
end

function c_evaluate(held, split, accuracy, loss)
    return telling() do
        score = evaluate(HELD[held], unsafe_string(split))
        unsafe_store!(accuracy, score.accuracy)
        unsafe_store!(loss, score.loss)
    end
end

c_parameters(held, arrays, tensors) = telling(() -> fill_in!(borrowed(arrays, tensors), parameters(HELD[held])))

c_load_parameters(held, arrays, tensors) =
    telling(() -> load_parameters!(HELD[held], borrowed(arrays, tensors)))

c_save(held, path) = telling(() -> save(HELD[held], unsafe_string(path)))

c_load(held, path) = telling(() -> load!(HELD[held], unsafe_string(path)))

c_loader_workers(held, workers) = telling(() -> unsafe_store!(workers, loader_workers(HELD[held])))

"""Close a run and forget it; nothing where that was done before."""
c_close(held) = telling(() -> haskey(HELD, held) && close!(pop!(HELD, held)))

function c_start_trace(held, settings, parameters, tensors)
    return telling() do
        asked = unsafe_load(settings)
        tracer = start_trace(;
            model=unsafe_string(asked.model),
            parameters=borrowed(parameters, tensors),
            learning_rate=asked.learning_rate,
            optimizer=unsafe_string(asked.optimizer),
            momentum=asked.momentum,
            weight_decay=asked.weight_decay,
            precision=unsafe_string(asked.precision),
            threads=asked.threads,
        )
        unsafe_store!(held, hold!(tracer))
    end
end

function c_trace_step(held, samples, loss, logits, gradients, tensors)
    return telling() do
        images, labels = borrowed(unsafe_load(samples, 1)), borrowed(unsafe_load(samples, 2))
        step = trace_step!(HELD[held], images, labels)
        unsafe_store!(loss, step.loss)
        copyto!(borrowed(unsafe_load(logits)), step.logits)
        fill_in!(borrowed(gradients, tensors), step.gradients)
    end
end

"""Do it: C_NULL, or the text of what went wrong."""
function telling(action)
    try
        action()
        return Cstring(C_NULL)
    catch error
        FAILURE[] = replace(sprint(showerror, cause(error)), '\0' => ' ')
        return Base.unsafe_convert(Cstring, FAILURE[])
    end
end

"""What went wrong in the first place, be it in a task: the loader's, say."""
cause(error) = error
cause(error::TaskFailedException) = cause(error.task.exception)
cause(error::CapturedException) = cause(error.ex)
cause(error::CompositeException) = cause(first(error.exceptions))

function hold!(value)
    HELD[LAST_HELD[] += 1] = value
    return LAST_HELD[]
end

"""The caller's memory as an array of Julia's: not a copy."""
function borrowed(lent::Lent)
    T, sizes = LENT_TYPES[lent.type + 1], lent.sizes
    lent.dimensions == 1 && return unsafe_wrap(Array, Ptr{T}(lent.address), sizes[1])
    lent.dimensions == 2 && return unsafe_wrap(Array, Ptr{T}(lent.address), sizes[1:2])
    return unsafe_wrap(Array, Ptr{T}(lent.address), sizes)
end

borrowed(lent::Ptr{Lent}, count) =
    Dict{String,Array}(unsafe_string(each.name) => borrowed(each) for each in unsafe_wrap(Array, lent, count))

"""Copy arrays into the caller's of the same names."""
function fill_in!(targets, arrays)
    for (name, array) in arrays
        target = targets[name]
        size(target) == size(array) ||
            throw(ArgumentError("$name has size $(size(array)); the caller's has $(size(target))"))
        copyto!(target, array)
    end
end

"""
    entry_points() -> String

The names and addresses of the C functions, `name=address` with spaces between.
"""
function entry_points()
    found = (;
        start=@cfunction(c_start, Cstring, (Ptr{Int64}, Ptr{Settings}, Ptr{Lent}, Int64, Ptr{Lent}, Int64)),
        warm_up=@cfunction(c_warm_up, Cstring, (Int64,)),
        begin_epoch=@cfunction(c_begin_epoch, Cstring, (Int64, Ptr{Int64}, Int64)),
        train=@cfunction(c_train, Cstring, (Int64, Int64, Ptr{Float64}, Ptr{Int64}, Ptr{Float64})),
        evaluate=@cfunction(c_evaluate, Cstring, (Int64, Cstring, Ptr{Float64}, Ptr{Float64})),
        parameters=@cfunction(c_parameters, Cstring, (Int64, Ptr{Lent}, Int64)),
        load_parameters=@cfunction(c_load_parameters, Cstring, (Int64, Ptr{Lent}, Int64)),
        save=@cfunction(c_save, Cstring, (Int64, Cstring)),
        load=@cfunction(c_load, Cstring, (Int64, Cstring)),
        loader_workers=@cfunction(c_loader_workers, Cstring, (Int64, Ptr{Int64})),
        close=@cfunction(c_close, Cstring, (Int64,)),
        start_trace=@cfunction(c_start_trace, Cstring, (Ptr{Int64}, Ptr{Settings}, Ptr{Lent}, Int64)),
        trace_step=@cfunction(c_trace_step, Cstring, (Int64, Ptr{Lent}, Ptr{Float64}, Ptr{Lent}, Ptr{Lent}, Int64)),
    )
    return join(("$name=$(UInt(address))" for (name, address) in pairs(found)), " ")
end
