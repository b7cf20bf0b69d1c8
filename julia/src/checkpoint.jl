const CHECKPOINT_FORMAT = 1

"""
    save(run, path)

Write parameters and optimiser state to a file.
"""
function save(run::Run, path::AbstractString)
    state = cpu_device()((; parameters=read_tensors(run.model), optimiser_state=run.optimiser_state))
    # Written with Julia's own serialisation, which another version of Julia or of the rules may not read: so say which.
    open(io -> serialize(io, (; checkpoint_versions()..., state)), path, "w")
    return nothing
end

"""
    load!(run, path)

Continue from what `save` wrote, bit for bit where the arithmetic allows.

Throws an `ErrorException` when the file was written by other versions.
"""
function load!(run::Run, path::AbstractString)
    found = deserialize(path)
    written, here = found[keys(checkpoint_versions())], checkpoint_versions()
    written == here || error("$path was written by $written, and this is $here: a checkpoint needs the same versions")
    write_tensors!(run.model, Dict(found.state.parameters))
    run.optimiser_state = run.device(found.state.optimiser_state)
    synchronize(run.device)
    return nothing
end

checkpoint_versions() =
    (; format=CHECKPOINT_FORMAT, julia=string(VERSION), optimisers=string(pkgversion(Optimisers)))
