"""What the model.jl of the workloads with LeNet is."""
module LeNet
using ..FluxTrainer: lenet
build() = lenet()
end

"""What the model.jl of the workloads with ResNet-18 is."""
module ResNet18
using ..FluxTrainer: resnet18
build() = resnet18()
end

@setup_workload begin
    folder = mktempdir()
    path = joinpath(folder, "model.jl")
    touch(path)
    @compile_workload begin
        for model in (LeNet, ResNet18)
            rehearse(model, path; shape=(28, 28, 1), outputs=CLASSES, loss="cross_entropy")
        end
        LAST_HELD[] = 0
    end
    rm(folder; recursive=true)
end

# How a file is included is not rehearsed: nothing can be, in a package that is being compiled.
precompile(load_model, (String, String))
precompile(load_package, (String,))
precompile(of_including, (LoadError, String))
