const EVALUATION_BATCH_SIZE = 250 # samples; the PyTorch side's

"""One training. Made by `start`."""
mutable struct Run{M,R,D<:AbstractDevice}
    model::M
    rule::R
    optimiser_state::Any
    device::D
    samples::Dict{String,Samples} # by split, on the CPU
    evaluation_batches::Dict{String,Any} # by split, on the device
    initial::Dict{String,Array{Float32}}
    batch_size::Int
    num_workers::Int
    loader::Union{Nothing,Loader}
end

"""
    start(; model, data, parameters, learning_rate, batch_size, num_workers, optimizer, momentum, weight_decay,
          precision, memory_format, data_on_device, device, threads) -> Run

Build the model, the optimiser and the loader on the device.

- `model`: `"lenet"` or `"resnet18"`.
- `data`: maps `"train"`, `"validation"` and `"test"` to `(images, labels)`; images Float32 of size
  (28, 28, 1, samples), labels whole numbers 0 to 9. `Array{Float32,4}` and `Vector{Int}` are used as they are.
- `parameters`: maps PyTorch's tensor names to Float32 arrays, sizes reversed: (width, height, in, out), (in, out).
- `num_workers`: threads that load batches; 0 loads in the training's own thread.
- `optimizer`: `"sgd"` (with `momentum`) or `"adam"`; `weight_decay` is added to the gradient.
- `precision`, `memory_format`, `data_on_device`: `"float32"`, `"contiguous"` and `false`; nothing else is offered.
- `device`: `"cpu"` or `"cuda"`; the latter after `using CUDA, cuDNN`.
- `threads`: compute threads, for BLAS; Julia's own were fixed when it started (`julia --threads`).

Throws `ArgumentError` for unknown names and for anything but Float32.
"""
function start(;
    model,
    data,
    parameters,
    learning_rate,
    batch_size,
    num_workers,
    optimizer,
    momentum,
    weight_decay,
    precision,
    memory_format,
    data_on_device,
    device,
    threads,
)
    only_offered(; precision, memory_format, data_on_device)
    set_threads(threads)
    chosen = find_device(device)
    prepare(chosen)
    rule = optimisation_rule(; optimizer, learning_rate, momentum, weight_decay)
    on_device = build(model) |> chosen
    run = Run(
        on_device,
        rule,
        nothing,
        chosen,
        Dict{String,Samples}(string(split) => on_cpu(data[split]...) for split in keys(data)),
        Dict{String,Any}(),
        Dict{String,Array{Float32}}(string(name) => in_float32(name, parameters[name]) for name in keys(parameters)),
        Int(batch_size),
        Int(num_workers),
        nothing,
    )
    reset!(run)
    return run
end

"""
    warm_up!(run)

Compile every batch shape on dummy data, the loader and the evaluation included; then reset to the initial parameters
and a new optimiser.
"""
function warm_up!(run::Run)
    samples = numobs(run.samples["train"])
    whole, rest = min(run.batch_size, samples), samples % run.batch_size
    dummy = dummy_samples(whole + rest)
    run.loader = Loader(dummy, collect(1:numobs(dummy)), run.batch_size, run.num_workers)
    train!(run, cld(numobs(dummy), run.batch_size))
    for split in ("validation", "test")
        samples = dummy_samples(min(EVALUATION_BATCH_SIZE, numobs(run.samples[split])))
        score(run.model, evaluation_batches(run, samples))
    end
    reset!(run)
    synchronize(run.device)
    return nothing
end

"""
    begin_epoch!(run, order)

Serve the training samples in this order (positions counted from 0), cut into batches, the last one kept.
"""
function begin_epoch!(run::Run, order)
    isnothing(run.loader) || close!(run.loader)
    run.loader = Loader(run.samples["train"], Int[position + 1 for position in order], run.batch_size, run.num_workers)
    return nothing
end

"""
    train!(run, batches) -> (; loss, samples, data_s)

Take optimiser steps. The mean loss over the samples, before each update; how many samples; seconds spent waiting for
batches, their transfer to the device included.
"""
function train!(run::Run, batches::Integer)
    Flux.trainmode!(run.model)
    loss_sum, samples, waited_ns = 0.0, 0, UInt64(0)
    for _ in 1:batches
        waiting_since = time_ns()
        images, labels = run.device(next_batch!(run.loader))
        waited_ns += time_ns() - waiting_since
        loss, _, _ = step!(run.model, run.optimiser_state, images, labels)
        loss_sum += Float64(loss) * size(images, 4)
        samples += size(images, 4)
    end
    synchronize(run.device)
    return (; loss=loss_sum / samples, samples, data_s=waited_ns / 1e9)
end

"""
    evaluate(run, split) -> (; accuracy, loss)

Accuracy and mean loss on a whole split, in evaluation mode.
"""
function evaluate(run::Run, split::AbstractString)
    on_device = get!(() -> evaluation_batches(run, run.samples[split]), run.evaluation_batches, split)
    return score(run.model, on_device)
end

"""
    parameters(run) -> Vector{Pair{String,Array{Float32}}}

Copies of all parameters and BatchNorm statistics: PyTorch's names and order, sizes reversed.
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

function reset!(run::Run)
    isnothing(run.loader) || close!(run.loader)
    run.loader = nothing
    load_parameters!(run, run.initial)
    run.optimiser_state = Flux.setup(run.rule, run.model)
    return nothing
end

"""One optimiser step in training mode: the loss and the logits before it, and the gradient."""
function step!(model, optimiser_state, images, labels)
    (loss, logits), gradients = Flux.withgradient(model) do model
        logits = model(images)
        Flux.logitcrossentropy(logits, labels), logits
    end
    Flux.update!(optimiser_state, model, gradients[1])
    return loss, logits, gradients[1]
end

evaluation_batches(run::Run, samples::Samples) =
    [run.device(batch) for batch in batches(samples, 1:numobs(samples), EVALUATION_BATCH_SIZE)]

function score(model, batches)
    Flux.testmode!(model)
    correct, samples, loss_sum = 0, 0, 0.0
    for (images, labels) in batches
        logits = model(images)
        correct += sum(onecold(logits) .== onecold(labels))
        loss_sum += Flux.logitcrossentropy(logits, labels; agg=sum)
        samples += size(images, 4)
    end
    return (; accuracy=correct / samples, loss=loss_sum / samples)
end

function on_cpu(images, labels)::Samples
    only_float32("images", images)
    ndims(images) == 4 && size(images)[1:3] == (28, 28, 1) ||
        throw(ArgumentError("images have size $(size(images)); it must be (28, 28, 1, samples)"))
    length(labels) == size(images, 4) ||
        throw(ArgumentError("there are $(size(images, 4)) images and $(length(labels)) labels"))
    return convert(Array{Float32,4}, images), convert(Vector{Int}, labels) # no copies where they are that already
end

function in_float32(name, array)
    only_float32(name, array)
    return Array(array)
end

# Flux would convert Float64 without a word, and be slow.
only_float32(name, array) =
    eltype(array) == Float32 || throw(ArgumentError("$name has elements of type $(eltype(array)); it must be Float32"))

dummy_samples(samples)::Samples = zeros(Float32, 28, 28, 1, samples), zeros(Int, samples)

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
