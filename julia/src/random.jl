# What a model draws itself, dropout's masks say, comes from the task's generator, from the device's, or from generators
# that it was built with. All are seeded when a training begins, and travel in its checkpoints.

"""Seed what the model draws from; generators of its own are new with every model that is built."""
function seed!(device, seed)
    Random.seed!(seed)
    seed_device!(device, seed)
    return nothing
end

random_state(model, device) = (;
    task=copy(Random.default_rng()), device=device_random_state(device), own=map(copy, own_generators(model))
)

function load_random_state!(model, device, state)
    copy!(Random.default_rng(), state.task)
    load_device_random_state!(device, state.device)
    foreach(copy!, own_generators(model), state.own)
    return nothing
end

own_generators(model) = AbstractRNG[each for each in fleaves(model) if each isa AbstractRNG && owned(each)]

owned(::AbstractRNG) = true
owned(::TaskLocalRNG) = false

# The CUDA extension adds the methods for its device.
seed_device!(::CPUDevice, seed) = nothing
device_random_state(::CPUDevice) = nothing
load_device_random_state!(::CPUDevice, ::Nothing) = nothing
