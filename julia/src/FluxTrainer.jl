"""
Trains LeNet and ResNet-18 in Flux, in pieces small enough to be timed and stopped from outside.

The functions are `start`, `warm_up!`, `begin_epoch!`, `train!`, `evaluate`, `parameters`, `load_parameters!`, `save`,
`load!` and `close!`: the same names, in the same order and with the same meaning as the methods of the PyTorch side.
There is no clock for the training here, no target and no Python.
"""
module FluxTrainer

using ChainRulesCore: ChainRulesCore, NoTangent
using Flux
using LinearAlgebra: BLAS
using MLDataDevices: AbstractDevice, CPUDevice, cpu_device, gpu_device
using MLUtils: DataLoader, numobs, obsview
using NNlib: PoolDims, maxpool
using OneHotArrays: OneHotMatrix, onecold, onehotbatch
using Optimisers: Optimisers, Adam, Momentum, OptimiserChain, WeightDecay
using PrecompileTools: @compile_workload, @setup_workload
using Random: AbstractRNG, default_rng
using Serialization: deserialize, serialize

export start, warm_up!, begin_epoch!, train!, evaluate, parameters, load_parameters!, save, load!, close!
export initial_parameters, loader_workers, start_trace, trace_step!

include("pooling.jl")
include("models.jl")
include("tensors.jl")
include("optimisers.jl")
include("loader.jl")
include("run.jl")
include("checkpoint.jl")
include("trace.jl")
include("seam.jl")
include("precompile.jl")

end
