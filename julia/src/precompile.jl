# The first training step of a process costs 20 s (LeNet) to 45 s (ResNet-18) of compilation; done once here, when the
# package is installed. Types decide what is compiled, not sizes: so tiny batches do. It all goes through the functions
# that a program in the same process calls (seam.jl).
@setup_workload begin
    well(answer) = answer == C_NULL || error(unsafe_string(answer))
    data = Dict{String,Array}()
    for split in ("train", "validation", "test")
        data["$split/images"], data["$split/labels"] = rand(Float32, 28, 28, 1, 5), [0, 1, 2, 3, 4]
    end
    order = [3, 1, 4, 0, 2]
    held, whole, first_real, second_real = [0], [0], [0.0], [0.0] # what the functions write into
    path = tempname()
    @compile_workload begin
        entry_points()
        for model in ("lenet", "resnet18"), optimizer in ("sgd", "adam")
            weights = Dict{String,Array}(initial_parameters(model))
            lent_data, lent_weights = lend(data), lend(weights)
            c(text) = Base.unsafe_convert(Cstring, text)
            settings = [
                Settings(
                    c(model),
                    c(optimizer),
                    c("float32"),
                    c("contiguous"),
                    c("cpu"),
                    0.01,
                    0.9,
                    0.0,
                    2,
                    optimizer == "sgd" ? 0 : 1,
                    0,
                    1,
                ),
            ]
            GC.@preserve data weights begin
                well(
                    c_start(
                        pointer(held),
                        pointer(settings),
                        pointer(lent_data),
                        length(lent_data),
                        pointer(lent_weights),
                        length(lent_weights),
                    ),
                )
                run = only(held)
                well(c_warm_up(run))
                well(c_begin_epoch(run, pointer(order), length(order)))
                well(c_loader_workers(run, pointer(whole)))
                well(c_train(run, 3, pointer(first_real), pointer(whole), pointer(second_real)))
                well(c_evaluate(run, c("validation"), pointer(first_real), pointer(second_real)))
                well(c_save(run, c(path)))
                well(c_load(run, c(path)))
                well(c_parameters(run, pointer(lent_weights), length(lent_weights)))
                well(c_load_parameters(run, pointer(lent_weights), length(lent_weights)))
                well(c_close(run))
            end
        end
        rm(path)
    end
end
