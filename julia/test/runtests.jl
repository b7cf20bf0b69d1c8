using FluxTrainer
using FluxTrainer: BasicBlock, Blueprint, Loader, ModelError, lenet, next_batch!, optimisation_rule, parameter_count
using FluxTrainer: read_tensors, resnet18, reversed_size, tensors, write_tensors!
using Flux, Functors, NNlib, Optimisers, Random, Serialization, Statistics, Test

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

begin_run(; changes...) = start(;
    (;
        model=lenet,
        data=DATA,
        outputs=10,
        loss="cross_entropy",
        options=(;),
        batch_size=64,
        num_workers=0,
        optimizer="sgd",
        momentum=0.9,
        weight_decay=0.0,
        precision="float32",
        memory_format="contiguous",
        data_on_device=false,
        seed=3,
        device="cpu",
        threads=1,
        changes...,
    )...,
)

"""A file with this text as the model of a folder of its own."""
function model_file(text)
    path = joinpath(mktempdir(), "model.jl")
    write(path, text)
    return path
end

same(a, b) = all(first(x) == first(y) && last(x) == last(y) for (x, y) in zip(a, b))
rates(steps; rate=0.05) = fill(rate, steps)

@testset "models" begin
    @test parameter_count(lenet()) == 44_426
    @test parameter_count(resnet18()) == 11_175_370
    @test lenet()(zeros(Float32, 28, 28, 1, 3)) |> size == (10, 3)
    @test resnet18()(zeros(Float32, 28, 28, 1, 3)) |> size == (10, 3)
    names = [tensor.name for tensor in tensors(resnet18())]
    @test names[1:5] == ["conv1.weight", "bn1.weight", "bn1.bias", "bn1.running_mean", "bn1.running_var"]
    @test "layer2.0.downsample.0.weight" in names && "layer2.0.downsample.1.running_var" in names
    @test names[(end - 1):end] == ["fc.weight", "fc.bias"]
end

@testset "tensors travel in PyTorch's layout" begin
    model = lenet()
    arrays = read_tensors(model)
    kernel = Dict(arrays)["conv2.weight"]
    @test kernel == reverse(model.layers.conv2.weight; dims=(1, 2)) # Flux flips its kernels, PyTorch does not
    @test Dict(arrays)["fc1.weight"] == permutedims(model.layers.fc1.weight)
    other = lenet()
    write_tensors!(other, Dict(arrays))
    @test same(read_tensors(other), arrays)
    incomplete = delete!(Dict(arrays), "fc1.bias")
    @test_throws "tensor fc1.bias is missing" write_tensors!(other, incomplete)
    @test_throws "no tensor fc9" write_tensors!(other, merge(Dict(arrays), Dict("fc9" => zeros(Float32, 1))))
    short = merge(Dict(arrays), Dict("fc1.bias" => zeros(Float32, 3)))
    @test_throws "fc1.bias has size (3,)" write_tensors!(other, short)
end

struct Attention{A,B,C}
    query::A
    token::B
    blocks::C
    scale::Float32
end

Flux.@layer Attention trainable = (query, blocks)

(layer::Attention)(x) = layer.blocks[2](layer.blocks[1](layer.query(x) .+ layer.token)) .* layer.scale

"""PyTorch's shapes of what a layer holds, by name."""
shapes(layer) = [tensor.name => reverse(reversed_size(tensor)) for tensor in tensors(layer)]

@testset "any layer's tensors have PyTorch's names and shapes" begin
    @test shapes(Conv((3, 5), 4 => 8; groups=2, bias=false)) == ["weight" => (8, 2, 5, 3)]
    @test shapes(DepthwiseConv((3,), 4 => 8)) == ["weight" => (8, 1, 3), "bias" => (8,)]
    @test shapes(ConvTranspose((3, 5), 4 => 8; groups=2)) == ["weight" => (4, 4, 5, 3), "bias" => (8,)]
    @test shapes(CrossCor((3, 5), 4 => 8)) == ["weight" => (8, 4, 5, 3), "bias" => (8,)]
    @test shapes(Dense(3 => 2; bias=false)) == ["weight" => (2, 3)]
    @test shapes(Flux.Bilinear((3, 4) => 2)) == ["weight" => (2, 3, 4), "bias" => (2,)]
    @test shapes(Embedding(50 => 7)) == ["weight" => (50, 7)]
    affine(sizes) = ["weight" => sizes, "bias" => sizes]
    @test shapes(LayerNorm(7)) == shapes(ExactLayerNorm(7)) == shapes(GroupNorm(7, 1)) == affine((7,))
    @test shapes(LayerNorm((3, 4))) == shapes(ExactLayerNorm(3, 4)) == affine((4, 3))
    @test shapes(LayerNorm(7; affine=false)) == shapes(Dropout(0.5)) == []
    statistics = ["running_mean" => (7,), "running_var" => (7,)]
    @test shapes(BatchNorm(7)) == [affine((7,)); statistics]
    @test shapes(BatchNorm(7; affine=false)) == statistics
    @test shapes(InstanceNorm(7; affine=true, track_stats=false)) == affine((7,))
    @test first.(shapes(Chain(; a=Chain(relu, Dense(1 => 1)), b=Dense(1 => 1; bias=false)))) ==
        ["a.1.weight", "a.1.bias", "b.weight"]
    dense() = Dense(2 => 2; bias=false)
    @test first.(shapes(Chain(Parallel(+, dense(), dense()), SkipConnection(Chain(dense()), +)))) ==
        ["0.0.weight", "0.1.weight", "1.0.weight"]
    @test first.(shapes(Parallel(dense(); left=dense(), right=dense()))) ==
        ["left.weight", "right.weight", "connection.weight"]
    @test first.(shapes(Maxout(dense, 2))) == ["0.weight", "1.weight"]
    own = Attention(dense(), ones(Float32, 2, 3), [dense(), Chain(dense())], 0.1f0)
    @test [(each.name, each.trained) for each in tensors(own)] == [
        ("query.weight", true), ("token", false), ("blocks.0.weight", true), ("blocks.1.0.weight", true)
    ]
    @test Dict(shapes(own))["token"] == (3, 2)
    @test first.(shapes((; b=Dict(:z => dense(), :a => dense())))) == ["b.a.weight", "b.z.weight"]
end

@testset "kernels mean what they mean in PyTorch" begin
    kernel, x = randn(3, 2, 1, 1), randn(5, 4, 1, 1)
    conv = Flux.f64(Conv((3, 2), 1 => 1))
    write_tensors!(conv, Dict("weight" => kernel, "bias" => zeros(1)))
    correlated = [sum(kernel .* x[i:(i + 2), j:(j + 1), :, :]) for i in 1:3, j in 1:3]
    @test conv(x)[:, :, 1, 1] ≈ correlated rtol = 1e-12
    transposed = Flux.f64(ConvTranspose((3, 2), 1 => 1))
    write_tensors!(transposed, Dict("weight" => kernel, "bias" => zeros(1)))
    spread = zeros(7, 5)
    for i in 1:5, j in 1:4
        spread[i:(i + 2), j:(j + 1)] .+= kernel[:, :, 1, 1] .* x[i, j, 1, 1]
    end
    @test transposed(x)[:, :, 1, 1] ≈ spread rtol = 1e-12
end

@testset "gradients of any model" begin
    shared = Dense(2 => 2; bias=false)
    unused = Dense(2 => 2)
    model = Attention(shared, ones(Float32, 2), [Dense(2 => 2; bias=false), Chain(shared)], 1.0f0)
    whole = (; model, unused)
    gradient = Flux.gradient(each -> sum(each.model([1.0f0, 2.0f0])), whole)[1]
    found = Dict(FluxTrainer.read_gradients(whole, gradient))
    @test keys(found) == Set(first.(shapes(whole))[[1; 3:6]])
    @test found["model.query.weight"] == found["model.blocks.1.0.weight"] # it is one, so the gradients add up
    @test all(iszero, found["unused.weight"])
    each = 1.0f-3
    slope = map(CartesianIndices(shared.weight)) do place
        before = shared.weight[place]
        values = map((-each, each)) do change
            shared.weight[place] = before + change
            sum(model([1.0f0, 2.0f0]))
        end
        shared.weight[place] = before
        (values[2] - values[1]) / 2each
    end
    @test found["model.query.weight"] ≈ permutedims(slope) rtol = 1.0f-2
end

@testset "a model's file" begin
    file = model_file("""
    using Flux, Random, Statistics

    struct Twice{L}
        layer::L
    end
    Flux.@layer Twice
    (twice::Twice)(x) = twice.layer(twice.layer(x))

    function build(; hidden=4, kind="plain", drop=false)
        kind == "plain" || error("there is no kind \$kind")
        return Chain(Flux.flatten, Dense(784 => hidden), Twice(Dense(hidden => hidden)), Dense(hidden => 10))
    end
    """)
    run = begin_run(; model=file, options=(; hidden=6))
    @test first.(parameters(run)) ==
        ["1.weight", "1.bias", "2.layer.weight", "2.layer.bias", "3.weight", "3.bias"]
    warm_up!(run)
    reset!(run)
    begin_epoch!(run, 0:499)
    @test train!(run, rates(8)).samples == 500
    @test 0 <= evaluate(run, "test").accuracy <= 1
    close!(run)
    again = begin_run(; model=file, options=(; hidden=6))
    @test typeof(again) == typeof(run) # included once
    function fault(action)
        try
            action()
        catch error
            return sprint(showerror, error)
        end
    end
    @test fault(() -> Blueprint(file, (; hiden=3))) ==
        "$file, line 9: build takes no option 'hiden'; it takes hidden, kind, drop"
    @test fault(Blueprint(file, (; kind="odd"))) == "$file, line 10: there is no kind odd"
    @test fault(Blueprint(file, (; hidden="many"))) |> startswith("$file, line 11: MethodError: no method matching")
    broken = Dict(
        "build() = )" => ", line 1: syntax error: ",
        "using Flux\nbuild() = begin\n" => ", line 2: syntax error: ",
        "x = 1\ny = nothere" => ", line 2: UndefVarError: `nothere` not defined",
        "f() = sqrt(-1.0)\n\nf()" => ", line 3: DomainError with -1.0:",
        "using NotThere" => ", line 1: ArgumentError: Package NotThere not found",
        "include(\"more.jl\")" => "SystemError: opening file",
        "built() = 3" => ": it has no function build",
        "build(x) = x" => ": build takes no keywords alone; write build(; option=value)",
    )
    for (text, said) in broken
        path = model_file(replace(text, "\\n" => "\n"))
        @test contains(fault(() -> Blueprint(path, (;))), said)
        @test startswith(fault(() -> Blueprint(path, (;))), dirname(path))
    end
    @test fault(() -> Blueprint("/nowhere/model.jl", (;))) == "/nowhere/model.jl: there is no such file"
    takes_all = model_file("build(; options...) = options")
    @test Blueprint(takes_all, (; a=1, b="x"))()[:b] == "x"
end

@testset "a model that does not fit its data" begin
    function fault(text)
        path = model_file("using Flux\n" * text)
        run = begin_run(; model=path)
        try
            Base.invokelatest(warm_up!, run) # the file's functions are newer than this one's world
        catch error
            return replace(sprint(showerror, error), path => "FILE")
        end
    end
    @test fault("build() = Chain(Flux.flatten, Dense(784 => 9))") ==
        "FILE: of 2 samples the model makes (9, 2), and the data ask for (10, 2) (samples last)"
    @test startswith(
        fault("build() = Chain(Flux.flatten, Dense(783 => 10))"),
        "FILE: the model fails on features of size (28, 28, 1, 2): DimensionMismatch",
    )
    wrong = "wrong(x) =\n    reshape(x, 3, :)\nbuild() = Chain(wrong, Dense(3 => 10))"
    @test startswith(fault(wrong), "FILE, line 2: ") # of the function
    @test contains(fault("build() = Chain(Flux.flatten, Dense(784 => 10), x -> 0.5 .* x)"), "the model gives Float64")
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

@testset "layers compute PyTorch's formulas" begin
    x = randn(6, 5, 4, 3)
    exact(layer) = FluxTrainer.in_precision(Float64, layer)
    spread(x; dims) = sqrt.(var(x; dims, corrected=false) .+ 1e-5)
    normalised(x; dims) = (x .- mean(x; dims)) ./ spread(x; dims)
    layer = exact(BatchNorm(4))
    @test (layer.ϵ, layer.momentum) == (1e-5, 0.1) # not what Float32 makes of them
    Flux.trainmode!(layer)
    @test layer(x) ≈ normalised(x; dims=(1, 2, 4)) rtol = 1e-12
    @test layer.μ ≈ 0.1 .* vec(mean(x; dims=(1, 2, 4))) rtol = 1e-12
    @test layer.σ² ≈ 0.9 .+ 0.1 .* vec(var(x; dims=(1, 2, 4))) rtol = 1e-12 # corrected, as PyTorch's
    @test exact(InstanceNorm(4))(x) ≈ normalised(x; dims=(1, 2)) rtol = 1e-12
    grouped = reshape(x, 6, 5, 2, 2, 3)
    @test exact(GroupNorm(4, 2))(x) ≈ reshape(normalised(grouped; dims=(1, 2, 3)), size(x)) rtol = 1e-12
    small = 1e-3 .* x # where an eps matters
    @test exact(ExactLayerNorm(6))(small) ≈ normalised(small; dims=1) rtol = 1e-12
    @test exact(ExactLayerNorm(6, 5))(small) ≈ normalised(small; dims=(1, 2)) rtol = 1e-12
    if !isapprox(exact(LayerNorm(6))(small), normalised(small; dims=1); rtol=1e-3)
        @info "Flux $(pkgversion(Flux)) adds the square of LayerNorm's eps to the variance"
    end
    weights = (; weight=randn(6), bias=randn(6))
    layer = ExactLayerNorm(weights.weight, weights.bias, 1e-5)
    @test layer(x) ≈ normalised(x; dims=1) .* weights.weight .+ weights.bias rtol = 1e-12
    @test Dropout(0.0)(x) == x
    own = exact(Attention(Dense(2 => 2), ones(Float32, 2), [identity, identity], 0.1f0))
    @test own.query.weight isa Matrix{Float64} # its scale is a field of type Float32, and has to stay one
    @test exact((; scale=0.1f0, epsilon=1.0f-12)) == (; scale=0.1, epsilon=1e-12)
end

"""What a rule makes of ones under these gradients and rates."""
function by_flux(rule, gradients, rates)
    model = (; w=ones(4))
    state = Flux.setup(rule, model)
    for (g, rate) in zip(gradients, rates)
        Optimisers.adjust!(state, rate)
        Flux.update!(state, model, (; w=copy(g)))
    end
    return model.w
end

"""PyTorch's formulas, written down once more."""
function by_hand(optimizer, gradients, rates; μ, λ)
    w, v, m, s = ones(4), zeros(4), zeros(4), zeros(4)
    for (t, (gradient, η)) in enumerate(zip(gradients, rates))
        g = optimizer == "adamw" ? gradient : gradient .+ λ .* w
        if optimizer in ("sgd", "nesterov")
            v = μ .* v .+ g
            w = w .- η .* (optimizer == "sgd" ? v : g .+ μ .* v)
        else
            optimizer == "adamw" && (w = w .- η .* λ .* w)
            m = 0.9 .* m .+ 0.1 .* g
            s = 0.999 .* s .+ 0.001 .* g .^ 2
            w = w .- η .* (m ./ (1 - 0.9^t)) ./ (sqrt.(s ./ (1 - 0.999^t)) .+ 1e-8)
        end
    end
    return w
end

@testset "optimisers follow PyTorch's formulas: $optimizer" for optimizer in ("sgd", "nesterov", "adam", "adamw")
    gradients = [randn(4) for _ in 1:8]
    for rates in (fill(0.1, 8), [0.01, 0.1, 0.2, 0.1, 0.0, 0.0, 1e-9, 0.1])
        rule = optimisation_rule(; optimizer, momentum=0.9, weight_decay=0.01)
        @test by_flux(rule, gradients, rates) ≈ by_hand(optimizer, gradients, rates; μ=0.9, λ=0.01) rtol = 1e-11
    end
    if optimizer == "sgd" # to the bit, at a rate that stays
        rule = optimisation_rule(; optimizer, momentum=0.9, weight_decay=0.01)
        theirs = OptimiserChain(WeightDecay(0.01), Momentum(0.1, 0.9))
        @test by_flux(rule, gradients, fill(0.1, 8)) == by_flux(theirs, gradients, fill(0.1, 8))
    end
    @test_throws "unknown optimizer \"lion\"" optimisation_rule(; optimizer="lion", momentum=0.9, weight_decay=0)
end

@testset "the loader keeps the order" begin
    samples = (reshape(repeat(Float32.(1:103); inner=784), 28, 28, 1, 103), mod.(1:103, 10))
    order = randperm(103)
    for workers in (0, 1, 2, 3, 20)
        loader = Loader(samples, 10, order, 10, workers)
        served = [next_batch!(loader) for _ in 1:11]
        @test reduce(vcat, Int.(images[1, 1, 1, :]) for (images, _) in served) == order
        @test [size(images, 4) for (images, _) in served] == [fill(10, 10); 3]
        @test reduce(vcat, Flux.onecold(labels, 0:9) for (_, labels) in served) == mod.(order, 10)
        FluxTrainer.close!(loader)
    end
    loader = Loader(samples, 10, order, 10, 2)
    next_batch!(loader)
    FluxTrainer.close!(loader)
    @test all(istaskdone, loader.tasks)
end

@testset "a run" begin
    run = begin_run()
    before = parameters(run)
    warm_up!(run)
    reset!(run)
    @test same(parameters(run), before) # warming up leaves no trace
    begin_epoch!(run, randperm(500) .- 1)
    progress = train!(run, rates(8))
    @test progress.samples == 500
    @test 0 < progress.data_s < 60
    @test !same(parameters(run), before)
    @test all(eltype(array) == Float32 for (_, array) in parameters(run))
    for _ in 1:20
        begin_epoch!(run, randperm(500) .- 1)
        train!(run, rates(8; rate=0.02))
    end
    @test evaluate(run, "validation").accuracy > 0.9
    @test evaluate(run, "validation").loss < 0.5
    other = parameters(begin_run(; seed=4))
    @test !same(other, before)
    reset!(run, Dict(other))
    @test same(parameters(run), other)
    close!(run)
    close!(run)
    images, labels = DATA["train"]
    @test_throws "must be Float32" begin_run(; data=Dict("train" => (Float64.(images), labels)))
    @test_throws "500 samples of features and 499" begin_run(; data=Dict("train" => (images, labels[2:end])))
    @test_throws "unknown device" begin_run(; device="tpu")
    @test_throws "unknown loss" begin_run(; loss="hinge")
end

@testset "numbers for targets" begin
    features = randn(Float32, 3, 200)
    targets = [2 0 -1; 0 1 0] * features .+ 0.1f0
    data = Dict(split => (features, Float32.(targets)) for split in ("train", "validation", "test"))
    run = begin_run(; model=() -> Dense(3 => 2), data, outputs=2, loss="mean_squared_error", num_workers=1)
    warm_up!(run)
    reset!(run)
    before = evaluate(run, "test")
    @test isnan(before.accuracy)
    @test before.loss ≈ mean(abs2, run.model(features) .- targets) rtol = 1e-5
    for _ in 1:30
        begin_epoch!(run, 0:199)
        train!(run, rates(4; rate=0.1))
    end
    @test evaluate(run, "test").loss < 1e-4
    close!(run)
end

dropping(; p=0.5) = Chain(Flux.flatten, Dense(784 => 16, relu), Dropout(p; rng=Xoshiro(1)), Dropout(p), Dense(16 => 10))

@testset "what a model draws is seeded, and continues" begin
    path = joinpath(mktempdir(), "checkpoint")
    function losses(run; checkpoint=false)
        begin_epoch!(run, 0:255)
        return map(1:4) do step
            checkpoint && step == 3 && save(run, path)
            train!(run, rates(1)).loss
        end
    end
    run = begin_run(; model=dropping)
    first_time = losses(run; checkpoint=true)
    warm_up!(run)
    reset!(run)
    @test losses(run) == first_time
    rand(100)
    reset!(run, Dict(parameters(begin_run(; model=dropping))))
    @test losses(run) == first_time # whoever drew the parameters
    @test losses(begin_run(; model=dropping, seed=4)) != first_time
    @test losses(begin_run(; model=dropping, options=(; p=0.4))) != first_time
    rest = begin_run(; model=dropping)
    warm_up!(rest)
    load!(rest, path)
    begin_epoch!(rest, 128:255)
    @test [train!(rest, rates(1)).loss for _ in 1:2] == first_time[3:4]
    @test_throws "another model" load!(begin_run(; model=() -> Chain(Flux.flatten, Dense(784 => 10; bias=false))), path)
end

struct SomeGPU <: FluxTrainer.AbstractDevice end

@testset "an evaluation takes more at once on a GPU, as large as the samples let it" begin
    of(width) = (zeros(Float32, width, width, 1, 3), [0, 1, 2])
    at_once(device, width) = FluxTrainer.evaluation_batch_size(device, of(width))
    @test at_once.(Ref(FluxTrainer.CPUDevice()), (28, 400)) == (250, 250)
    @test at_once.(Ref(SomeGPU()), (28, 90, 400)) == (1000, 517, 250)
end

@testset "evaluation leaves BatchNorm alone" begin
    run = begin_run(; model=resnet18, batch_size=16)
    begin_epoch!(run, 0:31)
    train!(run, rates(1))
    before = parameters(run)
    evaluate(run, "test")
    @test same(parameters(run), before)
    close!(run)
end

const CHECKPOINTED = ((lenet, "sgd"), (lenet, "nesterov"), (lenet, "adamw"), (resnet18, "adam"))

@testset "checkpoints continue bit for bit: $model, $optimizer" for (model, optimizer) in CHECKPOINTED
    options = (; model, optimizer, batch_size=16)
    whole, half, rest = begin_run(; options...), begin_run(; options...), begin_run(; options..., seed=5)
    begin_epoch!(whole, 0:63)
    train!(whole, [1e-3, 2e-3])
    begin_epoch!(half, 0:63)
    train!(half, [1e-3, 2e-3])
    path = joinpath(mktempdir(), "checkpoint")
    save(half, path)
    load!(rest, path)
    begin_epoch!(rest, 32:63)
    @test train!(whole, [3e-3, 3e-3]).loss == train!(rest, [3e-3, 3e-3]).loss
    @test same(parameters(whole), parameters(rest))
    foreach(close!, (whole, half, rest))
    stored = deserialize(path)
    serialize(path, merge(stored, (; julia="1.0.0")))
    @test_throws "1.0.0" load!(rest, path)
end

@testset "a trace takes the same step as a run" begin
    settings = (; optimizer="sgd", momentum=0.9, weight_decay=5e-4, seed=3)
    run = begin_run(; settings...)
    begin_epoch!(run, 0:63)
    loss = train!(run, [0.05]).loss
    images, labels = DATA["train"]
    batch = images[:, :, :, 1:64], labels[1:64]
    traced(precision) = start_trace(; model=lenet, outputs=10, settings..., precision, threads=1)
    tracer = traced("float32")
    step = trace_step!(tracer, batch..., 0.05)
    @test Float64(step.loss) == loss
    @test same(parameters(tracer), parameters(run))
    double = traced("float64")
    step = trace_step!(double, batch..., 0.05)
    @test all(eltype(array) == Float64 for (_, array) in [step.gradients; parameters(double)])
    @test step.loss ≈ loss rtol = 1e-5
end

@testset "a trace lays open what goes into the layers, and drops nothing out" begin
    model() = Chain(; flat=Flux.flatten, a=Dense(784 => 8), norm=BatchNorm(8), off=Dropout(0.5), b=Dense(8 => 10))
    tracer = start_trace(;
        model, outputs=10, optimizer="sgd", momentum=0.9, weight_decay=0.0, seed=0, precision="float64", threads=1
    )
    images, labels = DATA["train"]
    before = parameters(tracer)
    found = FluxTrainer.layer_inputs(tracer, images[:, :, :, 1:5])
    @test first.(found) == ["a", "norm", "b", ""]
    @test same(parameters(tracer), before)
    @test last(found[1]) == reshape(images[:, :, :, 1:5], 784, 5)
    @test !any(iszero, last(found[3])) # half of them, with dropout
    step = trace_step!(tracer, images[:, :, :, 1:5], labels[1:5], 0.1)
    @test step.outputs == last(found[4])
    deep = Chain(; own=Attention(Dense(784 => 4), ones(Float32, 4), [identity, Dense(4 => 10)], 1.0f0), last=identity)
    tracer = start_trace(;
        model=() -> Chain(Flux.flatten, deep), outputs=10, optimizer="sgd", momentum=0.9, weight_decay=0.0, seed=0,
        precision="float64", threads=1,
    )
    found = FluxTrainer.layer_inputs(tracer, images[:, :, :, 1:5])
    @test first.(found) == ["1.own", "1.own.query", "1.own.blocks.1", ""]
    words = start_trace(;
        model=() -> Chain(x -> Int.(x), Embedding(9 => 4), x -> x[:, 1, :], Dense(4 => 10)), outputs=10,
        optimizer="sgd", momentum=0.9, weight_decay=0.0, seed=0, precision="float32", threads=1,
    )
    found = FluxTrainer.layer_inputs(words, Float32[1 2; 3 4])
    @test last(found[1]) == [0 1; 2 3] # PyTorch counts from 0
end

# As a program in the same process calls: with addresses, through the functions' own.
@testset "the C functions" begin
    points = Dict(split(each, '=') for each in split(FluxTrainer.entry_points()))
    address(name) = Ptr{Cvoid}(parse(UInt, points[name]))
    said(answer) = answer == C_NULL ? nothing : unsafe_string(answer)
    text(value) = Base.unsafe_convert(Cstring, value)
    data = Dict{String,Array}()
    for (name, (features, targets)) in DATA
        data["$name/features"], data["$name/targets"] = features, targets
    end
    file = model_file("""
    using FluxTrainer: lenet
    build(; whole=1, part=0.5, word="x", flag=false) =
        (whole, part, word, flag) == (2, 0.25, "y", true) ? lenet() : error("\$whole \$part \$word \$flag")
    """)
    asked = ("whole" => 2, "part" => 0.25, "word" => "y", "flag" => true)
    function begin_c(; optimizer="sgd", asked=asked)
        loss, precision, layout, device = "cross_entropy", "float32", "contiguous", "cpu"
        settings = [
            FluxTrainer.Settings(
                text(file), text(loss), text(optimizer), text(precision), text(layout), text(device),
                0.9, 0.0, 10, 64, 0, 0, 3, 1, # momentum, decay, outputs, batch, workers, on device, seed, threads
            ),
        ]
        options = FluxTrainer.Option[FluxTrainer.lend(name, value, string(value)) for (name, value) in asked]
        pieces, number = FluxTrainer.lend(data), [0]
        answer = GC.@preserve data optimizer loss precision layout device asked ccall(
            address("start"), Cstring,
            (Ptr{Int64}, Ptr{FluxTrainer.Settings}, Ptr{FluxTrainer.Option}, Int64, Ptr{FluxTrainer.Lent}, Int64),
            number, settings, options, length(options), pieces, length(pieces),
        )
        return said(answer), only(number)
    end
    failure, held = begin_c()
    @test isnothing(failure)
    @test begin_c(; asked=asked[2:3])[1] == "$file, line 2: 1 0.25 y false"
    run, order, loss, samples, waited = begin_run(), randperm(500) .- 1, [0.0], [0], [0.0]
    weights = Dict{String,Array}(parameters(run))
    lent = FluxTrainer.lend(weights)
    answer = GC.@preserve weights ccall(
        address("reset"), Cstring, (Int64, Ptr{FluxTrainer.Lent}, Int64), held, lent, length(lent)
    )
    @test isnothing(said(answer))
    begin_epoch!(run, order)
    @test isnothing(said(ccall(address("begin_epoch"), Cstring, (Int64, Ptr{Int64}, Int64), held, order, 500)))
    answer = ccall(
        address("train"), Cstring, (Int64, Ptr{Float64}, Int64, Ptr{Float64}, Ptr{Int64}, Ptr{Float64}),
        held, rates(8), 8, loss, samples, waited,
    )
    @test isnothing(said(answer))
    @test (only(loss), only(samples)) == (train!(run, rates(8)).loss, 500)
    told = [Cstring(C_NULL)]
    @test isnothing(said(ccall(address("tensors"), Cstring, (Int64, Ptr{Cstring}), held, told)))
    lines = split(unsafe_string(only(told)), '\n')
    @test lines[1] == "conv1.weight\t6,1,5,5\ttrained" && length(lines) == 10
    here = Dict{String,Array}(name => similar(array) for (name, array) in weights)
    lent = FluxTrainer.lend(here)
    answer = GC.@preserve here ccall(
        address("parameters"), Cstring, (Int64, Ptr{FluxTrainer.Lent}, Int64), held, lent, length(lent)
    )
    @test isnothing(said(answer))
    @test here == Dict(parameters(run))
    features, _ = FluxTrainer.HELD[held].samples["train"]
    @test pointer(features) == pointer(first(DATA["train"])) # no copy
    for _ in 1:2
        @test isnothing(said(ccall(address("close"), Cstring, (Int64,), held)))
    end
    @test !haskey(FluxTrainer.HELD, held)
    @test contains(begin_c(; optimizer="lion")[1], "Julia: ArgumentError: unknown optimizer \"lion\"; there are adam,")
    @test contains(said(ccall(address("warm_up"), Cstring, (Int64,), held)), "KeyError")
end

@testset "features of any number of dimensions" begin
    for sizes in ((5,), (5, 4), (3, 3, 2, 2), (2, 2, 2, 2, 2))
        features, targets = randn(Float32, sizes..., 20), rand(0:2, 20)
        data = Dict(split => (features, targets) for split in ("train", "validation", "test"))
        run = begin_run(; model=() -> Chain(Flux.flatten, Dense(prod(sizes) => 3)), data, outputs=3, batch_size=8)
        warm_up!(run)
        reset!(run)
        begin_epoch!(run, 0:19)
        @test train!(run, rates(3)).samples == 20
        lent = FluxTrainer.lend("x", features)
        @test (lent.dimensions, lent.sizes[1:(length(sizes) + 1)]) == (length(sizes) + 1, size(features))
        @test FluxTrainer.borrowed(pointer([lent]), 1)["x"] === features ||
            FluxTrainer.borrowed(pointer([lent]), 1)["x"] == features
    end
end

@testset "a failure in a loader's task is told" begin
    samples = (zeros(Float32, 28, 28, 1, 4), [0, 1, 2, 11]) # there is no such label
    run = begin_run(; num_workers=1)
    run.loader = Loader(samples, 10, [1, 2, 3, 4], 2, 1)
    failure = FluxTrainer.telling(() -> train!(run, rates(2)))
    @test contains(unsafe_string(failure), "11")
    @test !contains(unsafe_string(failure), "TaskFailed")
end
