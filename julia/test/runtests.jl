using FluxTrainer
using FluxTrainer:
    ExactMaxPool, Loader, build, lenet, next_batch!, optimisation_rule, parameter_count, read_tensors, tensors
using FluxTrainer: write_tensors!
using Flux, NNlib, Random, Serialization, Test

Random.seed!(1)

"""Images of ten patterns with noise: learnable in a few epochs."""
function patterns(samples)
    labels = rand(0:9, samples)
    images = 0.3f0 .* rand(Float32, 28, 28, 1, samples)
    for (sample, label) in enumerate(labels)
        images[(2label + 1):(2label + 8), (20 - 2label + 1):(20 - 2label + 8), 1, sample] .+= 0.7f0
    end
    return images, labels
end

const DATA = Dict("train" => patterns(500), "validation" => patterns(100), "test" => patterns(60))

begin_run(; model="lenet", parameters=initial_parameters(model; rng=MersenneTwister(3)), changes...) = start(;
    (;
        model,
        data=DATA,
        parameters,
        learning_rate=0.05,
        batch_size=64,
        num_workers=0,
        optimizer="sgd",
        momentum=0.9,
        weight_decay=0.0,
        precision="float32",
        memory_format="contiguous",
        data_on_device=false,
        device="cpu",
        threads=1,
        changes...,
    )...,
)

same(a, b) = all(first(x) == first(y) && last(x) == last(y) for (x, y) in zip(a, b))

@testset "models" begin
    @test parameter_count(build("lenet")) == 44_426
    @test parameter_count(build("resnet18")) == 11_175_370
    @test build("lenet")(zeros(Float32, 28, 28, 1, 3)) |> size == (10, 3)
    @test build("resnet18")(zeros(Float32, 28, 28, 1, 3)) |> size == (10, 3)
    names = [tensor.name for tensor in tensors(build("resnet18"))]
    @test names[1:5] == ["conv1.weight", "bn1.weight", "bn1.bias", "bn1.running_mean", "bn1.running_var"]
    @test "layer2.0.downsample.0.weight" in names && "layer2.0.downsample.1.running_var" in names
    @test names[(end - 1):end] == ["fc.weight", "fc.bias"]
    @test_throws "unknown model \"lenett\"" build("lenett")
end

@testset "tensors travel in PyTorch's layout" begin
    model = build("lenet")
    arrays = read_tensors(model)
    kernel = Dict(arrays)["conv2.weight"]
    @test kernel == reverse(model.layers.conv2.weight; dims=(1, 2)) # Flux flips its kernels, PyTorch does not
    @test Dict(arrays)["fc1.weight"] == permutedims(model.layers.fc1.weight)
    other = build("lenet")
    write_tensors!(other, Dict(arrays))
    @test same(read_tensors(other), arrays)
    incomplete = delete!(Dict(arrays), "fc1.bias")
    @test_throws "tensor fc1.bias is missing" write_tensors!(other, incomplete)
    @test_throws "no tensor fc9" write_tensors!(other, merge(Dict(arrays), Dict("fc9" => zeros(Float32, 1))))
    short = merge(Dict(arrays), Dict("fc1.bias" => zeros(Float32, 3)))
    @test_throws "fc1.bias has size (3,)" write_tensors!(other, short)
end

@testset "exact max-pooling" begin
    for (pool, T) in ((ExactMaxPool((2, 2)), Float32), (ExactMaxPool((3, 3); stride=(2, 2), pad=(1, 1)), Float64))
        x = randn(T, 9, 8, 3, 4)
        dims = PoolDims(x, pool.window; pool.stride, padding=pool.pad)
        @test pool(x) == maxpool(x, dims)
        y, pullback = Flux.pullback(pool, x)
        dx = only(pullback(ones(T, size(y))))
        @test sum(dx) == length(y)
        direction = randn(T, size(x))
        h = T == Float64 ? 1e-6 : 1.0f-3
        slope = (sum(pool(x .+ h .* direction)) - sum(pool(x .- h .* direction))) / 2h
        @test slope ≈ sum(dx .* direction) rtol = T == Float64 ? 1e-6 : 5.0f-2
    end
    pool, x = ExactMaxPool((2, 2)), rand(Float32.(0:3), 9, 8, 3, 4) # full of ties
    fast, slow = FluxTrainer.pool_forward(x, pool), map(similar, FluxTrainer.pool_forward(x, pool))
    FluxTrainer.pool_planes!(slow..., x, Val((2, 2)), Val((2, 2)), Val((0, 0)))
    @test fast == slow
    @test_throws "there may be 256" ExactMaxPool((17, 16))
    near_tie = reshape(Float32[1.0, 1.0001, 0, 0], 2, 2, 1, 1) # the second is the maximum
    gradient(f) = vec(only(Flux.gradient(x -> sum(f(x)), near_tie)))
    @test gradient(ExactMaxPool((2, 2))) == [0, 1, 0, 0]
    if gradient(x -> maxpool(x, (2, 2))) == [1, 0, 0, 0]
        @info "NNlib $(pkgversion(NNlib)) sends the gradient of a near tie to the first element, not to the maximum"
    end
    tie = reshape(Float32[2, 2, 2, 2], 2, 2, 1, 1)
    @test vec(only(Flux.gradient(x -> sum(ExactMaxPool((2, 2))(x)), tie))) == [1, 0, 0, 0]
    @test isnan(only(ExactMaxPool((2, 2))(reshape([1.0f0, NaN32, 0.0f0, 0.0f0], 2, 2, 1, 1))))
end

@testset "optimisers follow PyTorch's formulas" begin
    gradients = [randn(4) for _ in 1:5]
    η, μ, λ = 0.1, 0.9, 0.01
    function by_flux(rule)
        model = (; w=ones(4))
        state = Flux.setup(rule, model)
        foreach(g -> Flux.update!(state, model, (; w=copy(g))), gradients)
        return model.w
    end
    w, v = ones(4), zeros(4)
    for g in gradients
        v = μ .* v .+ (g .+ λ .* w)
        w = w .- η .* v
    end
    @test by_flux(optimisation_rule(; optimizer="sgd", learning_rate=η, momentum=μ, weight_decay=λ)) ≈ w rtol = 1e-12
    w, m, s = ones(4), zeros(4), zeros(4)
    for (t, g) in enumerate(gradients)
        decayed = g .+ λ .* w
        m = 0.9 .* m .+ 0.1 .* decayed
        s = 0.999 .* s .+ 0.001 .* decayed .^ 2
        w = w .- η .* (m ./ (1 - 0.9^t)) ./ (sqrt.(s ./ (1 - 0.999^t)) .+ 1e-8)
    end
    @test by_flux(optimisation_rule(; optimizer="adam", learning_rate=η, momentum=μ, weight_decay=λ)) ≈ w rtol = 1e-9
    @test_throws "unknown optimizer \"adamw\"" optimisation_rule(;
        optimizer="adamw", learning_rate=η, momentum=μ, weight_decay=λ
    )
end

@testset "the loader keeps the order" begin
    samples = (reshape(repeat(Float32.(1:103); inner=784), 28, 28, 1, 103), mod.(1:103, 10))
    order = randperm(103)
    for workers in (0, 1, 2, 3, 20)
        loader = Loader(samples, order, 10, workers)
        served = [next_batch!(loader) for _ in 1:11]
        @test reduce(vcat, Int.(images[1, 1, 1, :]) for (images, _) in served) == order
        @test [size(images, 4) for (images, _) in served] == [fill(10, 10); 3]
        @test reduce(vcat, Flux.onecold(labels, 0:9) for (_, labels) in served) == mod.(order, 10)
        FluxTrainer.close!(loader)
    end
    loader = Loader(samples, order, 10, 2)
    next_batch!(loader)
    FluxTrainer.close!(loader)
    @test all(istaskdone, loader.tasks)
end

@testset "a run" begin
    run = begin_run()
    before = parameters(run)
    warm_up!(run)
    @test same(parameters(run), before) # warming up leaves no trace
    begin_epoch!(run, randperm(500) .- 1)
    progress = train!(run, 8)
    @test progress.samples == 500
    @test 0 < progress.data_s < 60
    @test !same(parameters(run), before)
    @test all(eltype(array) == Float32 for (_, array) in parameters(run))
    for _ in 1:20
        begin_epoch!(run, randperm(500) .- 1)
        train!(run, 8)
    end
    @test evaluate(run, "validation").accuracy > 0.9
    @test evaluate(run, "validation").loss < 0.5
    close!(run)
    close!(run)
    images, labels = DATA["train"]
    @test_throws "must be Float32" begin_run(; data=Dict("train" => (Float64.(images), labels)))
    @test_throws "unknown device" begin_run(; device="tpu")
end

@testset "evaluation leaves BatchNorm alone" begin
    run = begin_run(; model="resnet18", batch_size=16)
    begin_epoch!(run, 0:31)
    train!(run, 1)
    before = parameters(run)
    evaluate(run, "test")
    @test same(parameters(run), before)
    close!(run)
end

const CHECKPOINTED = (("lenet", "sgd"), ("lenet", "adam"), ("resnet18", "adam"))

@testset "checkpoints continue bit for bit: $model, $optimizer" for (model, optimizer) in CHECKPOINTED
    options = (; model, optimizer, batch_size=16, learning_rate=1e-3)
    whole, half, rest = begin_run(; options...), begin_run(; options...), begin_run(; options...)
    begin_epoch!(whole, 0:63)
    train!(whole, 2)
    begin_epoch!(half, 0:63)
    train!(half, 2)
    path = joinpath(mktempdir(), "checkpoint")
    save(half, path)
    load!(rest, path)
    begin_epoch!(rest, 32:63)
    @test train!(whole, 2).loss == train!(rest, 2).loss
    @test same(parameters(whole), parameters(rest))
    foreach(close!, (whole, half, rest))
    stored = deserialize(path)
    serialize(path, merge(stored, (; julia="1.0.0")))
    @test_throws "1.0.0" load!(rest, path)
end

@testset "a trace takes the same step as a run" begin
    weights = initial_parameters("lenet"; rng=MersenneTwister(5))
    settings = (; learning_rate=0.05, optimizer="sgd", momentum=0.9, weight_decay=5e-4)
    run = begin_run(; parameters=weights, settings...)
    begin_epoch!(run, 0:63)
    loss = train!(run, 1).loss
    images, labels = DATA["train"]
    tracer = start_trace(; model="lenet", parameters=weights, settings..., precision="float32", threads=1)
    step = trace_step!(tracer, images[:, :, :, 1:64], labels[1:64])
    @test Float64(step.loss) == loss
    @test same(parameters(tracer), parameters(run))
    double = start_trace(; model="lenet", parameters=weights, settings..., precision="float64", threads=1)
    step = trace_step!(double, images[:, :, :, 1:64], labels[1:64])
    @test all(eltype(array) == Float64 for (_, array) in [step.gradients; parameters(double)])
    @test step.loss ≈ loss rtol = 1e-5
end

# As a program in the same process calls: with addresses, through the functions' own.
@testset "the C functions" begin
    points = Dict(split(each, '=') for each in split(FluxTrainer.entry_points()))
    address(name) = Ptr{Cvoid}(parse(UInt, points[name]))
    said(answer) = answer == C_NULL ? nothing : unsafe_string(answer)
    text(value) = Base.unsafe_convert(Cstring, value)
    data = Dict{String,Array}()
    for (name, (images, labels)) in DATA
        data["$name/images"], data["$name/labels"] = images, labels
    end
    weights = Dict{String,Array}(initial_parameters("lenet"; rng=MersenneTwister(3)))
    function begin_c(; optimizer="sgd")
        settings = [
            FluxTrainer.Settings(
                text("lenet"), text(optimizer), text("float32"), text("contiguous"), text("cpu"),
                0.05, 0.9, 0.0, 64, 0, 0, 1, # rate, momentum, decay, batch, workers, on device, threads
            ),
        ]
        pieces, tensors, number = FluxTrainer.lend(data), FluxTrainer.lend(weights), [0]
        answer = GC.@preserve data weights optimizer ccall(
            address("start"), Cstring,
            (Ptr{Int64}, Ptr{FluxTrainer.Settings}, Ptr{FluxTrainer.Lent}, Int64, Ptr{FluxTrainer.Lent}, Int64),
            number, settings, pieces, length(pieces), tensors, length(tensors),
        )
        return said(answer), only(number)
    end
    failure, held = begin_c()
    @test isnothing(failure)
    run, order, loss, samples, waited = begin_run(), randperm(500) .- 1, [0.0], [0], [0.0]
    begin_epoch!(run, order)
    @test isnothing(said(ccall(address("begin_epoch"), Cstring, (Int64, Ptr{Int64}, Int64), held, order, 500)))
    answer = ccall(
        address("train"), Cstring, (Int64, Int64, Ptr{Float64}, Ptr{Int64}, Ptr{Float64}),
        held, 8, loss, samples, waited,
    )
    @test isnothing(said(answer))
    @test (only(loss), only(samples)) == (train!(run, 8).loss, 500)
    here = Dict{String,Array}(name => similar(array) for (name, array) in weights)
    lent = FluxTrainer.lend(here)
    answer = GC.@preserve here ccall(
        address("parameters"), Cstring, (Int64, Ptr{FluxTrainer.Lent}, Int64), held, lent, length(lent)
    )
    @test isnothing(said(answer))
    @test here == Dict(parameters(run))
    images, _ = FluxTrainer.HELD[held].samples["train"]
    @test pointer(images) == pointer(first(DATA["train"])) # no copy
    for _ in 1:2
        @test isnothing(said(ccall(address("close"), Cstring, (Int64,), held)))
    end
    @test !haskey(FluxTrainer.HELD, held)
    @test begin_c(; optimizer="adamw")[1] == "ArgumentError: unknown optimizer \"adamw\"; there are sgd and adam"
    @test contains(said(ccall(address("warm_up"), Cstring, (Int64,), held)), "KeyError")
end

@testset "a failure in a loader's task is told" begin
    samples = (zeros(Float32, 28, 28, 1, 4), [0, 1, 2, 11]) # there is no such label
    run = begin_run(; num_workers=1)
    run.loader = Loader(samples, [1, 2, 3, 4], 2, 1)
    failure = FluxTrainer.telling(() -> train!(run, 2))
    @test contains(unsafe_string(failure), "11")
    @test !contains(unsafe_string(failure), "TaskFailed")
end
