# How a program that holds this Julia in its own process calls: C functions that take numbers, C strings and addresses.
# Nothing of the caller's language has to be converted, so nothing has to be compiled at the first call: precompile.jl
# goes through these very functions. A function returns C_NULL, or the text of what went wrong.

"""An array in the caller's memory, sizes in Julia's order. The caller keeps it until the call, or the run, ends."""
struct Lent
    name::Cstring
    address::Ptr{Cvoid}
    type::Int32 # place in `LENT_TYPES`, from 0
    dimensions::Int32
    sizes::NTuple{8,Int64} # ones after the last dimension
end

const LENT_TYPES = (Float32, Float64, Int64)
const LENT_DIMENSIONS = 8

"""What `start` and `start_trace` are asked for; a trace reads what is its own."""
struct Settings
    model::Cstring
    loss::Cstring
    optimizer::Cstring
    precision::Cstring
    memory_format::Cstring
    device::Cstring
    momentum::Float64
    weight_decay::Float64
    outputs::Int64
    batch_size::Int64
    num_workers::Int64
    data_on_device::Int64
    seed::Int64
    threads::Int64
end

"""An option of the model's, in the field of its kind."""
struct Option
    name::Cstring
    kind::Int64 # 0 a Bool, 1 an Int, 2 a Float64, 3 a String
    whole::Int64
    real::Float64
    text::Cstring
end

"""What a caller lends for these arrays, and must keep: for rehearsals and the tests, which call as one does."""
lend(arrays::AbstractDict{String}) = Lent[lend(name, array) for (name, array) in arrays]
lend(name::String, array::Array{T,N}) where {T,N} = Lent(
    Base.unsafe_convert(Cstring, name),
    pointer(array),
    findfirst(==(T), LENT_TYPES) - 1,
    N,
    ntuple(dimension -> size(array, dimension), LENT_DIMENSIONS),
)

const HELD = Dict{Int64,Any}() # runs and tracers by the number that the caller has for them
const LAST_HELD = Ref(0)
const SAID = Ref("") # keeps the last text that the caller is given to read

function c_start(
    held::Ptr{Int64}, settings::Ptr{Settings}, options::Ptr{Option}, count::Int64, data::Ptr{Lent}, pieces::Int64
)
    return telling() do
        asked = unsafe_load(settings)
        run = start(;
            model=unsafe_string(asked.model),
            data=split_data(borrowed(data, pieces)),
            outputs=asked.outputs,
            loss=unsafe_string(asked.loss),
            options=chosen(options, count),
            batch_size=asked.batch_size,
            num_workers=asked.num_workers,
            optimizer=unsafe_string(asked.optimizer),
            momentum=asked.momentum,
            weight_decay=asked.weight_decay,
            precision=unsafe_string(asked.precision),
            memory_format=unsafe_string(asked.memory_format),
            data_on_device=asked.data_on_device != 0,
            seed=asked.seed,
            device=unsafe_string(asked.device),
            threads=asked.threads,
        )
        unsafe_store!(held, hold!(run))
    end
end

c_warm_up(held::Int64) = telling(() -> warm_up!(HELD[held]))

"""Without arrays: what the model draws itself."""
c_reset(held::Int64, arrays::Ptr{Lent}, tensors::Int64) =
    telling(() -> reset!(HELD[held], tensors == 0 ? nothing : borrowed(arrays, tensors)))

c_begin_epoch(held::Int64, order::Ptr{Int64}, samples::Int64) =
    telling(() -> begin_epoch!(HELD[held], unsafe_wrap(Array, order, samples)))

function c_train(
    held::Int64, rates::Ptr{Float64}, steps::Int64, loss::Ptr{Float64}, samples::Ptr{Int64}, data_s::Ptr{Float64}
)
    return telling() do
        progress = train!(HELD[held], unsafe_wrap(Array, rates, steps))::@NamedTuple{
            loss::Float64, samples::Int64, data_s::Float64
        }
        unsafe_store!(loss, progress.loss)
        unsafe_store!(samples, progress.samples)
        unsafe_store!(data_s, progress.data_s)
    end
end

function c_evaluate(held::Int64, split::Cstring, accuracy::Ptr{Float64}, loss::Ptr{Float64})
    return telling() do
        score = evaluate(HELD[held], unsafe_string(split))::@NamedTuple{accuracy::Float64, loss::Float64}
        unsafe_store!(accuracy, score.accuracy)
        unsafe_store!(loss, score.loss)
    end
end

"""The tensors' names, PyTorch's shapes and whether they are trained: a line each, tabs between."""
function c_tensors(held::Int64, text::Ptr{Cstring})
    return telling() do
        lines = map(tensors(HELD[held].model)) do tensor
            shape = join(reverse(reversed_size(tensor)), ',')
            string(tensor.name, '\t', shape, '\t', tensor.trained ? "trained" : "kept")
        end
        say!(text, join(lines, '\n'))
    end
end

c_parameters(held::Int64, arrays::Ptr{Lent}, tensors::Int64) =
    telling(() -> fill_in!(borrowed(arrays, tensors), parameters(HELD[held])))

c_load_parameters(held::Int64, arrays::Ptr{Lent}, tensors::Int64) =
    telling(() -> load_parameters!(HELD[held], borrowed(arrays, tensors)))

c_save(held::Int64, path::Cstring) = telling(() -> save(HELD[held], unsafe_string(path)))

c_load(held::Int64, path::Cstring) = telling(() -> load!(HELD[held], unsafe_string(path)))

c_loader_workers(held::Int64, workers::Ptr{Int64}) =
    telling(() -> unsafe_store!(workers, loader_workers(HELD[held])::Int64))

"""Close a run and forget it; nothing where that was done before."""
c_close(held::Int64) = telling(() -> haskey(HELD, held) && close!(pop!(HELD, held)))

function c_start_trace(held::Ptr{Int64}, settings::Ptr{Settings}, options::Ptr{Option}, count::Int64)
    return telling() do
        asked = unsafe_load(settings)
        tracer = start_trace(;
            model=unsafe_string(asked.model),
            outputs=asked.outputs,
            options=chosen(options, count),
            optimizer=unsafe_string(asked.optimizer),
            momentum=asked.momentum,
            weight_decay=asked.weight_decay,
            precision=unsafe_string(asked.precision),
            seed=asked.seed,
            threads=asked.threads,
        )
        unsafe_store!(held, hold!(tracer))
    end
end

function c_trace_step(
    held::Int64, batch::Ptr{Lent}, rate::Float64, loss::Ptr{Float64}, outputs::Ptr{Lent}, gradients::Ptr{Lent},
    tensors::Int64,
)
    return telling() do
        samples = borrowed(batch, 2)
        step = trace_step!(HELD[held], samples["batch/features"], samples["batch/targets"], rate)
        unsafe_store!(loss, Float64(step.loss))
        fill_in!(borrowed(outputs, 1), ["outputs" => step.outputs])
        fill_in!(borrowed(gradients, tensors), step.gradients)
    end
end

const FOUND = Pair{String,Array}[] # what `c_layer_inputs` has told of, until it is fetched

"""What goes into the layers, a line for each: name, type, and shape as PyTorch has it. `c_fetch` gives the arrays."""
function c_layer_inputs(held::Int64, batch::Ptr{Lent}, text::Ptr{Cstring})
    return telling() do
        append!(empty!(FOUND), layer_inputs(HELD[held], borrowed(batch, 1)["batch/features"]))
        lines = [string(name, '\t', lowercase(string(eltype(array))), '\t', join(reverse(size(array)), ',')) for
                 (name, array) in FOUND]
        say!(text, join(lines, '\n'))
    end
end

"""Copy what was found into the caller's arrays, which are in the same order."""
function c_fetch(arrays::Ptr{Lent}, count::Int64)
    return telling() do
        fill_in!(borrowed(arrays, count), FOUND)
        empty!(FOUND)
    end
end

"""
Build a model and show it two samples: nothing is wrong where this fails in no way. The text is a word for what of it
cannot learn from a batch of one sample, empty where all can.
"""
function c_try_model(
    model::Cstring, options::Ptr{Option}, count::Int64, shape::Ptr{Int64}, dimensions::Int64, outputs::Int64,
    text::Ptr{Cstring},
)
    return telling() do
        sizes = reverse(unsafe_wrap(Array, shape, dimensions))
        blueprint = Blueprint(unsafe_string(model), chosen(options, count))
        say!(text, Base.invokelatest(try_model, blueprint, Tuple(sizes), outputs))
    end
end

function try_model(blueprint, sizes, outputs)
    Random.seed!(0)
    model = Flux.f32(blueprint())
    all(tensor -> !tensor.trained, tensors(model)) &&
        throw(ModelError(blueprint.path, 0, "the model has no parameters to train"))
    for tensor in tensors(model)
        all(isfinite, tensor.array) ||
            throw(ModelError(blueprint.path, 0, "the model's $(tensor.name) holds a NaN or an infinity from the start"))
    end
    check_outputs(model, blueprint.path, zeros(Float32, sizes..., 2), (outputs, 2))
    return any(layer -> layer isa BatchNorm, Flux.modules(model)) ? "BatchNorm" : ""
end

function say!(text::Ptr{Cstring}, said::String)
    SAID[] = said
    unsafe_store!(text, Base.unsafe_convert(Cstring, SAID[]))
    return nothing
end

"""Do it: C_NULL, or the text of what went wrong."""
function telling(action)
    try
        action()
        return Cstring(C_NULL)
    catch error
        failure = cause(error)
        SAID[] = replace(said(something(located(failure, catch_backtrace()), failure)), '\0' => ' ')
        return Base.unsafe_convert(Cstring, SAID[])
    end
end

said(error) = string("Julia: ", sprint(showerror, error))
said(error::ModelError) = sprint(showerror, error)

"""What went wrong in the first place, be it in a task: the loader's, say."""
cause(error) = error
cause(error::TaskFailedException) = cause(error.task.exception)
cause(error::CapturedException) = cause(error.ex)
cause(error::CompositeException) = cause(first(error.exceptions))

function hold!(value)
    HELD[LAST_HELD[] += 1] = value
    return LAST_HELD[]
end

"""The caller's memory as arrays of Julia's, by name: no copies."""
function borrowed(lent::Ptr{Lent}, count::Int64)
    arrays = Dict{String,Array}()
    for place in 1:count
        each = unsafe_load(lent, place)
        borrow!(arrays, each, LENT_TYPES[each.type + 1], Val(Int(each.dimensions)))
    end
    return arrays
end

# A method for every type, so that the compiled ones are this package's.
function borrow!(arrays::Dict{String,Array}, lent::Lent, ::Type{T}, ::Val{N}) where {T,N}
    sizes = ntuple(dimension -> lent.sizes[dimension], Val(N))
    arrays[unsafe_string(lent.name)] = unsafe_wrap(Array, Ptr{T}(lent.address), sizes)
    return nothing
end

"""Options by name."""
chosen(options::Ptr{Option}, count::Int64) =
    NamedTuple(Pair{Symbol,Any}[chosen(unsafe_load(options, place)) for place in 1:count])
chosen(option::Option) = Symbol(unsafe_string(option.name)) => (
    option.kind == 0 ? option.whole != 0 :
    option.kind == 1 ? option.whole : option.kind == 2 ? option.real : unsafe_string(option.text)
)

"""Data as `start` wants it, from arrays by the names `train/features`, `train/targets`, ..."""
split_data(arrays::Dict{String,Array}) = Dict{String,Tuple{Array,Array}}(
    chopsuffix(name, "/features") => (features, arrays[replace(name, "/features" => "/targets")]) for
    (name, features) in arrays if endswith(name, "/features")
)

"""Copy arrays into the caller's of the same names."""
fill_in!(targets, arrays) = foreach(((name, array),) -> fill_in!(name, targets[name], array), arrays)

function fill_in!(name, target, array)
    size(target) == size(array) ||
        throw(ArgumentError("$name has size $(size(array)); the caller's has $(size(target))"))
    copyto!(target, array)
    return nothing
end

"""
    entry_points() -> String

The names and addresses of the C functions, `name=address` with spaces between.
"""
function entry_points()
    found = (;
        start=@cfunction(c_start, Cstring, (Ptr{Int64}, Ptr{Settings}, Ptr{Option}, Int64, Ptr{Lent}, Int64)),
        warm_up=@cfunction(c_warm_up, Cstring, (Int64,)),
        reset=@cfunction(c_reset, Cstring, (Int64, Ptr{Lent}, Int64)),
        begin_epoch=@cfunction(c_begin_epoch, Cstring, (Int64, Ptr{Int64}, Int64)),
        train=@cfunction(c_train, Cstring, (Int64, Ptr{Float64}, Int64, Ptr{Float64}, Ptr{Int64}, Ptr{Float64})),
        evaluate=@cfunction(c_evaluate, Cstring, (Int64, Cstring, Ptr{Float64}, Ptr{Float64})),
        tensors=@cfunction(c_tensors, Cstring, (Int64, Ptr{Cstring})),
        parameters=@cfunction(c_parameters, Cstring, (Int64, Ptr{Lent}, Int64)),
        load_parameters=@cfunction(c_load_parameters, Cstring, (Int64, Ptr{Lent}, Int64)),
        save=@cfunction(c_save, Cstring, (Int64, Cstring)),
        load=@cfunction(c_load, Cstring, (Int64, Cstring)),
        loader_workers=@cfunction(c_loader_workers, Cstring, (Int64, Ptr{Int64})),
        close=@cfunction(c_close, Cstring, (Int64,)),
        start_trace=@cfunction(c_start_trace, Cstring, (Ptr{Int64}, Ptr{Settings}, Ptr{Option}, Int64)),
        layer_inputs=@cfunction(c_layer_inputs, Cstring, (Int64, Ptr{Lent}, Ptr{Cstring})),
        fetch=@cfunction(c_fetch, Cstring, (Ptr{Lent}, Int64)),
        try_model=@cfunction(
            c_try_model, Cstring, (Cstring, Ptr{Option}, Int64, Ptr{Int64}, Int64, Int64, Ptr{Cstring})
        ),
        trace_step=@cfunction(
            c_trace_step, Cstring, (Int64, Ptr{Lent}, Float64, Ptr{Float64}, Ptr{Lent}, Ptr{Lent}, Int64)
        ),
    )
    return join(("$name=$(UInt(address))" for (name, address) in pairs(found)), " ")
end
