# The first training step of a process costs 20 s (LeNet) to 45 s (ResNet-18) of compilation; done once here, when the
# package is installed. Types decide what is compiled, not sizes: so tiny batches do.
@setup_workload begin
    samples() = (rand(Float32, 28, 28, 1, 5), [0, 1, 2, 3, 4])
    @compile_workload begin
        for model in ("lenet", "resnet18"), optimizer in ("sgd", "adam")
            run = start(;
                model,
                data=Dict(split => samples() for split in ("train", "validation", "test")),
                parameters=initial_parameters(model),
                learning_rate=0.01,
                batch_size=2,
                num_workers=optimizer == "sgd" ? 0 : 1,
                optimizer,
                momentum=0.9,
                weight_decay=0.0,
                precision="float32",
                memory_format="contiguous",
                data_on_device=false,
                device="cpu",
                threads=1,
            )
            warm_up!(run)
            begin_epoch!(run, 0:4)
            train!(run, 3)
            evaluate(run, "validation")
            mktempdir() do folder
                save(run, joinpath(folder, "checkpoint"))
                load!(run, joinpath(folder, "checkpoint"))
            end
            load_parameters!(run, Dict(parameters(run)))
            close!(run)
        end
    end
end
