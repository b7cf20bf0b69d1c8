"""
Trains models in Flux, in pieces small enough to be timed and stopped from outside.

The functions are `start`, `warm_up!`, `reset!`, `begin_epoch!`, `train!`, `evaluate`, `parameters`, `load_parameters!`,
`save`, `load!` and `close!`: the same names, in the same order and with the same meaning as the methods of the PyTorch
side. There is no clock for the training here, no target and no Python.
"""
module FluxTrainer

using ChainRulesCore: ChainRulesCore, NoTangent
using Flux
using Functors: Functors, fleaves, fmap
using LinearAlgebra: BLAS
using MLDataDevices: AbstractDevice, CPUDevice, cpu_device, gpu_device
using MLUtils: DataLoader, numobs, obsview
using NNlib: PoolDims, maxpool
using OneHotArrays: OneHotArray, OneHotMatrix, onecold, onehotbatch
using Optimisers: Optimisers, AbstractRule, Adam, AdamW, OptimiserChain, WeightDecay
using PrecompileTools: PrecompileTools, @compile_workload, @setup_workload
using Random: Random, AbstractRNG, TaskLocalRNG
using SHA: sha256
using Serialization: deserialize, serialize
using Statistics: mean, var

export start, warm_up!, reset!, begin_epoch!, train!, evaluate, parameters, load_parameters!, save, load!, close!
export loader_workers, start_trace, trace_step!
export ExactLayerNorm, ExactMaxPool

include("pooling.jl")
include("normalising.jl")
include("models.jl")
include("model_files.jl")
include("compiled_models.jl")
include("tensors.jl")
include("optimisers.jl")
include("random.jl")
include("loader.jl")
include("run.jl")
include("checkpoint.jl")
include("trace.jl")
include("seam.jl")
include("rehearsal.jl")
include("precompile.jl")

end
