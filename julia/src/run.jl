# How many samples an evaluation takes at once: trainables/contract.py has the reasons, and the same numbers.
const EVALUATION_BATCH_SIZE = 250
const GPU_EVALUATION_BATCH_SIZE, GPU_EVALUATION_BYTES = 1000, 2^24

evaluation_batch_size(::CPUDevice, (_, _)::Samples) = EVALUATION_BATCH_SIZE

function evaluation_batch_size(::AbstractDevice, (features, _)::Samples)
    within = GPU_EVALUATION_BYTES * size(features)[end] ÷ max(1, sizeof(features))
    return min(GPU_EVALUATION_BATCH_SIZE, max(EVALUATION_BATCH_SIZE, within))
end

"""One training. Made by `start`."""
mutable struct Run{M,R,D<:AbstractDevice,S<:Samples,B}
    model::M
    rule::R
    optimiser_state::Any
    rates::NTuple{2,Float64} # of the last two steps
    blueprint::Blueprint
    device::D
    samples::Dict{String,S} # by split, on the CPU
    evaluation_batches::Dict{String,Any} # by split, on the device
    outputs::Int
    batch_size::Int
    num_workers::Int
    seed::Int
    loader::Union{Nothing,Loader{B}}
end

"""
    start(; model, data, outputs, loss, options, batch_size, num_workers, optimizer, momentum, weight_decay,
          precision, memory_format, data_on_device, seed, device, threads) -> Run

Build the model, the optimiser and the loader on the device.

- `model`: a file with a function `build(; options...)`, or such a function.
- `data`: maps `"train"`, `"validation"` and `"test"` to `(features, targets)`: features Float32, samples last; targets
  whole numbers from 0, or Float32 of size (outputs, samples). `Array{Float32}` and `Vector{Int}` are used as they are.
- `outputs`: how many numbers the model gives a sample; of cross entropy, its classes.
- `loss`: `"cross_entropy"` or `"mean_squared_error"`.
- `options`: what `build` is called with.
- `num_workers`: threads that load batches; 0 loads in the training's own thread.
- `optimizer`: see `optimisation_rule`.
- `precision`, `memory_format`, `data_on_device`: `"float32"`, `"contiguous"` and `false`; nothing else is offered.
- `seed`: of what the model draws itself: its first parameters and dropout.
- `device`: `"cpu"` or `"cuda"`; the latter after `using CUDA, cuDNN`.
- `threads`: compute threads, for BLAS; Julia's own were fixed when it started (`julia --threads`).

Throws `ArgumentError` for unknown names and for anything but Float32, `ModelError` where the file is at fault.

The functions of a file are newer than the function that calls `start`: where that goes on with the run, it has to call
`Base.invokelatest(warm_up!, run)` and so on. A caller of the C functions need not care.
"""
function start(;
    model,
    data,
    outputs,
    loss,
    options=(;),
    batch_size,
    num_workers,
    optimizer,
    momentum,
    weight_decay,
    precision,
    memory_format,
    data_on_device,
    seed,
    device,
    threads,
)
    only_offered(; precision, memory_format, data_on_device)
    set_threads(threads)
    chosen = find_device(device)
    prepare(chosen)
    rule = optimisation_rule(; optimizer, momentum, weight_decay)
    samples = by_split(Dict(string(split) => on_cpu(loss, data[split]...) for split in keys(data)))
    blueprint = Blueprint(model, options)
    sizes = (Int(outputs), Int(batch_size), Int(num_workers), Int(seed))
    # The file's functions are newer than the world that this call runs in.
    return Base.invokelatest(begin_run, blueprint, rule, chosen, samples, sizes...)
end

function begin_run(blueprint, rule, device, samples::Dict{String,S}, outputs, batch_size, num_workers, seed) where {S}
    seed!(device, seed)
    model = built(blueprint, device)
    B = batch_type(S)
    run = Run{typeof(model),typeof(rule),typeof(device),S,B}(
        model,
        rule,
        Flux.setup(rule, model),
        (NaN, NaN),
        blueprint,
        device,
        samples,
        Dict{String,Any}(),
        outputs,
        batch_size,
        num_workers,
        seed,
        nothing,
    )
    seed!(device, seed)
    return run
end

built(blueprint::Blueprint, device) = Flux.f32(blueprint()) |> device

"""
    warm_up!(run)

Compile every batch shape on dummy data, the loader and the evaluation included. `reset!` has to follow.

Throws `ModelError` where the model does not do what its data need.
"""
function warm_up!(run::Run)
    samples = numobs(run.samples["train"])
    whole, rest = min(run.batch_size, samples), samples % run.batch_size
    dummy = dummy_samples(run.samples["train"], whole + rest)
    features, targets = first(evaluation_batches(run, dummy_samples(dummy, 2)))
    check_outputs(run.model, run.blueprint.path, features, size(targets))
    run.loader = Loader(dummy, run.outputs, collect(1:numobs(dummy)), run.batch_size, run.num_workers)
    train!(run, zeros(cld(numobs(dummy), run.batch_size)))
    for split in ("validation", "test")
        at_once = evaluation_batch_size(run.device, run.samples[split])
        samples = dummy_samples(dummy, min(at_once, numobs(run.samples[split])))
        score(run.model, evaluation_batches(run, samples))
    end
    synchronize(run.device)
    return nothing
end

"""
    reset!(run, parameters)

Begin anew: a new model with these parameters, a map of names to arrays as `parameters` returns them; or with those that
its `build` draws under the seed, where they are `nothing`. A new optimiser, and every generator seeded.
"""
function reset!(run::Run, parameters=nothing)
    isnothing(run.loader) || close!(run.loader)
    run.loader = nothing
    seed!(run.device, run.seed)
    run.model = built(run.blueprint, run.device)
    isnothing(parameters) || load_parameters!(run, parameters)
    run.optimiser_state = Flux.setup(run.rule, run.model)
    run.rates = (NaN, NaN)
    seed!(run.device, run.seed) # the same masks, whoever drew the parameters
    synchronize(run.device)
    return nothing
end

"""
    begin_epoch!(run, order)

Serve the training samples in this order (positions counted from 0), cut into batches, the last one kept.
"""
function begin_epoch!(run::Run, order)
    isnothing(run.loader) || close!(run.loader)
    positions = Int[position + 1 for position in order]
    run.loader = Loader(run.samples["train"], run.outputs, positions, run.batch_size, run.num_workers)
    return nothing
end

"""
    train!(run, rates) -> (; loss, samples, data_s)

Take an optimiser step with each of these learning rates. The mean loss over the samples, before each update; how many
samples; seconds spent waiting for batches, their transfer to the device included.
"""
function train!(run::Run, rates::AbstractVector{Float64})
    Flux.trainmode!(run.model)
    loss_sum, samples, waited_ns = 0.0, 0, UInt64(0)
    for rate in rates
        waiting_since = time_ns()
        features, targets = run.device(next_batch!(run.loader))
        waited_ns += time_ns() - waiting_since
        set_rate!(run, rate)
        loss, _, _ = step!(run.model, run.optimiser_state, features, targets)
        loss_sum += Float64(loss) * size(targets, 2)
        samples += size(targets, 2)
    end
    synchronize(run.device)
    return (; loss=loss_sum / samples, samples, data_s=waited_ns / 1e9)
end

"""
    evaluate(run, split) -> (; accuracy, loss)

Accuracy and mean loss on a whole split, in evaluation mode; the accuracy is NaN where there are no classes.
"""
function evaluate(run::Run, split::AbstractString)
    on_device = get!(() -> evaluation_batches(run, run.samples[split]), run.evaluation_batches, split)
    return score(run.model, on_device)
end

"""
    parameters(run) -> Vector{Pair{String,Array{Float32}}}

Copies of all parameters and statistics: `tensors`' names and order, sizes reversed.
"""
parameters(run::Run) = read_tensors(run.model)

"""
    load_parameters!(run, arrays)

Set what `parameters` returns; `arrays` maps names to arrays.
"""
function load_parameters!(run::Run, arrays)
    write_tensors!(run.model, arrays)
    return nothing
end

"""
    loader_workers(run) -> Int

How many loader threads are really running.
"""
loader_workers(run::Run) = isnothing(run.loader) ? 0 : loader_threads(length(run.loader.sources))

"""
    close!(run)

End the loader's tasks and free the data on the device; may be called twice.
"""
function close!(run::Run)
    isnothing(run.loader) || close!(run.loader)
    run.loader = nothing
    empty!(run.evaluation_batches)
    return nothing
end

"""Set the rate of the next step; nothing has to be done where it is that of the last two."""
function set_rate!(run::Run, rate::Float64)
    before, last = run.rates
    before == last == rate || Optimisers.adjust!(run.optimiser_state, rate)
    run.rates = (last, rate)
    return nothing
end

"""One optimiser step in training mode: the loss and the outputs before it, and the gradient."""
function step!(model, optimiser_state, features, targets)
    (loss, outputs), gradients = Flux.withgradient(model) do model
        outputs = model(features)
        mean_loss(outputs, targets), outputs
    end
    Flux.update!(optimiser_state, model, gradients[1])
    return loss, outputs, gradients[1]
end

mean_loss(outputs, targets::OneHotArray) = Flux.logitcrossentropy(outputs, targets)
mean_loss(outputs, targets) = Flux.mse(outputs, targets)

function evaluation_batches(run::Run, samples::Samples)
    at_once = evaluation_batch_size(run.device, samples)
    return [run.device(batch) for batch in batches(samples, run.outputs, 1:numobs(samples), at_once)]
end

function score(model, batches)
    Flux.testmode!(model)
    correct, samples, loss_sum = 0.0, 0, 0.0
    for (features, targets) in batches
        outputs = model(features)
        correct += count_correct(outputs, targets)
        loss_sum += summed_loss(outputs, targets)
        samples += size(targets, 2)
    end
    return (; accuracy=correct / samples, loss=loss_sum / samples)
end

count_correct(outputs, targets::OneHotArray) = sum(onecold(outputs) .== onecold(targets))
count_correct(_, _) = NaN
summed_loss(outputs, targets::OneHotArray) = Flux.logitcrossentropy(outputs, targets; agg=sum)
summed_loss(outputs, targets) = Flux.mse(outputs, targets; agg=sum) / size(targets, 1)

"""Throw a `ModelError` where a model does not give a number of a batch's shape for every target."""
function check_outputs(model, path, features, wanted)
    told(why) = throw(ModelError(path, 0, why))
    Flux.testmode!(model)
    outputs = try
        model(features)
    catch error
        place = located(error, catch_backtrace())
        isnothing(place) || throw(place)
        told("the model fails on features of size $(size(features)): $(first_line(error))")
    end
    outputs isa AbstractArray || told("the model gives a $(nameof(typeof(outputs))), and must give an array")
    size(outputs) == wanted ||
        told("of $(last(wanted)) samples the model makes $(size(outputs)), and the data ask for $wanted (samples last)")
    eltype(outputs) == Float32 ||
        told("the model gives $(eltype(outputs)), and must give Float32 (0.5 makes Float64 of it, 0.5f0 does not)")
    return nothing
end

function on_cpu(loss, features, targets)::Samples
    only_float32("features", features)
    samples = size(features, ndims(features))
    ndims(features) >= 2 || throw(ArgumentError("features have size $(size(features)); the samples must come last"))
    size(targets, ndims(targets)) == samples ||
        throw(ArgumentError("there are $samples samples of features and $(size(targets, ndims(targets))) of targets"))
    N = ndims(features) # no copies where they are that already
    loss == "cross_entropy" && return convert(Array{Float32,N}, features), convert(Vector{Int}, targets)
    loss == "mean_squared_error" && return convert(Array{Float32,N}, features), convert(Matrix{Float32}, targets)
    throw(ArgumentError("unknown loss $(repr(loss)); there are cross_entropy and mean_squared_error"))
end

by_split(samples::Dict{String}) = Dict{String,typeof(first(values(samples)))}(samples)

# Flux would convert Float64 without a word, and be slow.
only_float32(name, array) =
    eltype(array) == Float32 || throw(ArgumentError("$name has elements of type $(eltype(array)); it must be Float32"))

"""As many samples as asked for, like these and full of zeros."""
dummy_samples((features, targets)::Samples, samples) = (
    zeros(Float32, size(features)[1:(end - 1)]..., samples),
    zeros(eltype(targets), size(targets)[1:(end - 1)]..., samples),
)

function only_offered(; precision, memory_format, data_on_device)
    precision == "float32" || throw(ArgumentError("precision is $(repr(precision)); there is float32"))
    memory_format == "contiguous" ||
        throw(ArgumentError("memory_format is $(repr(memory_format)); there is contiguous"))
    data_on_device && throw(ArgumentError("data_on_device is true; batches come from a loader"))
    return nothing
end

function find_device(name)
    name == "cpu" && return cpu_device()
    # Not inferred: what JSON adds to `isequal` would undo the compilation of all that calls this (MLDataDevices 1.17).
    name == "cuda" && return Base.invokelatest(gpu_device; force=true)
    throw(ArgumentError("unknown device $(repr(name)); there are cpu and cuda"))
end

# NNlib splits a convolution over Julia's threads, and each part calls BLAS: with both in parallel they are in each
# other's way (ResNet-18, 2 threads each on 2 cores: evaluation took 2.3 s, with one BLAS thread 1.5 s).
set_threads(threads) = BLAS.set_num_threads(Threads.nthreads(:default) > 1 ? 1 : threads)

# The CUDA extension adds the methods for its device.
prepare(::CPUDevice) = nothing
synchronize(::CPUDevice) = nothing
