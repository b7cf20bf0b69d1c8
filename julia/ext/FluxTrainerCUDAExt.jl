"""What `device = "cuda"` needs; loaded by `using CUDA, cuDNN`."""
module FluxTrainerCUDAExt

using CUDA: CUDA
using FluxTrainer: FluxTrainer
using MLDataDevices: CUDADevice
using cuDNN: cuDNN

# TF32 for dense layers too, as on the PyTorch side; cuDNN has it for convolutions anyway.
FluxTrainer.prepare(::CUDADevice) = CUDA.math_mode!(CUDA.FAST_MATH; precision=:TensorFloat32)
FluxTrainer.synchronize(::CUDADevice) = CUDA.synchronize()

FluxTrainer.seed_device!(::CUDADevice, seed) = CUDA.seed!(seed)
FluxTrainer.owned(::CUDA.RNG) = false # a model on the device draws from the device's

function FluxTrainer.device_random_state(::CUDADevice)
    generator = CUDA.default_rng()
    return (generator.seed, generator.counter)
end

function FluxTrainer.load_device_random_state!(::CUDADevice, state)
    generator = CUDA.default_rng()
    generator.seed, generator.counter = state
    return nothing
end

end
