"""What `device = "cuda"` needs; loaded by `using CUDA, cuDNN`."""
module FluxTrainerCUDAExt

using CUDA: CUDA
using FluxTrainer: FluxTrainer
using MLDataDevices: CUDADevice
using cuDNN: cuDNN

# TF32 for dense layers too, as on the PyTorch side; cuDNN has it for convolutions anyway.
FluxTrainer.prepare(::CUDADevice) = CUDA.math_mode!(CUDA.FAST_MATH; precision=:TensorFloat32)
FluxTrainer.synchronize(::CUDADevice) = CUDA.synchronize()

end
