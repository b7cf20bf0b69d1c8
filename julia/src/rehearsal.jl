# The first training step of a process costs 20 s (LeNet) to 45 s (ResNet-18) of compilation. It is done once, when a
# package is installed, by going through a training there: with functions that a program in the same process calls
# (seam.jl), and for a model's types; sizes hardly matter, so a few samples do.

const OPTIMIZERS = ("sgd", "nesterov", "adam", "adamw")

"""
    rehearse(build, path; shape, outputs, loss, options, optimizers)

Go through all that a training does, with a model that stands for the one in a file; `shape` is that of a sample.
"""
function rehearse(build::Module, path; shape, outputs, loss, options=(;), optimizers=OPTIMIZERS)
    MODULES[digest(path)] = build
    try
        for optimizer in optimizers
            rehearse_with(optimizer, path; shape, outputs, loss, options)
        end
    finally
        delete!(MODULES, digest(path)) # nothing of it may stay in the package's image
    end
    return nothing
end

function rehearse_with(optimizer, path; shape, outputs, loss, options)
    well(answer) = answer == C_NULL || error(unsafe_string(answer))
    c(text) = Base.unsafe_convert(Cstring, text)
    data, samples = Dict{String,Array}(), 5
    for split in ("train", "validation", "test")
        data["$split/features"] = rand(Float32, shape..., samples)
        data["$split/targets"] =
            loss == "cross_entropy" ? mod.(0:(samples - 1), outputs) : rand(Float32, outputs, samples)
    end
    texts = (; model=String(path), loss, optimizer, precision="float32", memory_format="contiguous", device="cpu")
    workers = optimizer == "sgd" ? 0 : 1
    settings = [Settings(map(c, values(texts))..., 0.9, 0.0, outputs, 2, workers, 0, 0, 1)]
    names, said = map(string, keys(options)), map(string, values(options))
    asked = Option[lend(place...) for place in zip(names, values(options), said)]
    order, rates = [3, 1, 4, 0, 2], [0.01, 0.01, 0.02]
    held, whole, first_real, second_real = [0], [0], [0.0], [0.0] # what the functions write into
    text, file = [Cstring(C_NULL)], tempname()
    lent_data = lend(data)
    GC.@preserve data texts names said begin
        entry_points()
        well(
            c_start(
                pointer(held), pointer(settings), pointer(asked), length(asked), pointer(lent_data), length(lent_data)
            ),
        )
        run = only(held)
        well(c_warm_up(run))
        well(c_tensors(run, pointer(text)))
        weights = Dict{String,Array}(parameters(HELD[run]))
        lent_weights = lend(weights)
        GC.@preserve weights begin
            well(c_parameters(run, pointer(lent_weights), length(lent_weights)))
            well(c_load_parameters(run, pointer(lent_weights), length(lent_weights)))
            well(c_reset(run, pointer(lent_weights), length(lent_weights)))
        end
        well(c_begin_epoch(run, pointer(order), length(order)))
        well(c_loader_workers(run, pointer(whole)))
        well(c_train(run, pointer(rates), length(rates), pointer(first_real), pointer(whole), pointer(second_real)))
        well(c_evaluate(run, c("validation"), pointer(first_real), pointer(second_real)))
        well(c_save(run, c(file)))
        well(c_load(run, c(file)))
        well(c_close(run))
    end
    rm(file)
    return nothing
end

"""What a caller lends for an option; `said` is it as a text, which must be kept, too."""
function lend(name::String, value::Union{Bool,Int,Float64,String}, said::String)
    kind = findfirst(T -> value isa T, (Bool, Int, Float64, String)) - 1
    whole, real = value isa Union{Bool,Int} ? Int64(value) : 0, value isa Float64 ? value : 0.0
    c(text) = Base.unsafe_convert(Cstring, text)
    return Option(c(name), kind, whole, real, c(said))
end
