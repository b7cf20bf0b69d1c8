const CHECKPOINT_FORMAT = 2

"""
    save(run, path)

Write parameters, optimiser state and the state of what draws random numbers to a file.
"""
function save(run::Run, path::AbstractString)
    state = (;
        parameters=last.(read_tensors(run.model)),
        optimiser_state=cpu_device()(run.optimiser_state),
        random=random_state(run.model, run.device),
    )
    # Written with Julia's own serialisation, which another version of Julia or of the rules may not read: so say which.
    open(io -> serialize(io, (; checkpoint_versions()..., state)), path, "w")
    return nothing
end

"""
    load!(run, path)

Continue from what `save` wrote, bit for bit where the arithmetic allows.

Throws an `ErrorException` when the file was written by other versions, or from another model.
"""
function load!(run::Run, path::AbstractString)
    found = deserialize(path)
    written, here = found[keys(checkpoint_versions())], checkpoint_versions()
    written == here || error("$path was written by $written, and this is $here: a checkpoint needs the same versions")
    state, expected = found.state, tensors(run.model)
    length(state.parameters) == length(expected) || error("$path was written from another model")
    foreach(write_tensor!, expected, state.parameters)
    run.optimiser_state = run.device(state.optimiser_state)
    run.rates = (NaN, NaN)
    load_random_state!(run.model, run.device, state.random)
    synchronize(run.device)
    return nothing
end

checkpoint_versions() =
    (; format=CHECKPOINT_FORMAT, julia=string(VERSION), optimisers=string(pkgversion(Optimisers)))
