# Samples per second of FluxTrainer against the loop that one writes by hand after Flux's own quick start: one line of
# JSON per batch size. Both run in this process, in pairs, now the one first and now the other: what one leaves behind is
# collected while the next one runs. The seconds are the process's CPU time, which other work on the machine leaves alone.
using Flux, FluxTrainer, Random
using MLUtils: DataLoader

const SAMPLES = 12_000
const ROUNDS = 10

images, labels = rand(Float32, 28, 28, 1, SAMPLES), rand(0:9, SAMPLES)
const DATA = Dict(split => (images, labels) for split in ("train", "validation", "test"))

plain_model() = Chain(
    Conv((5, 5), 1 => 6, relu), MaxPool((2, 2)), Conv((5, 5), 6 => 16, relu), MaxPool((2, 2)), Flux.flatten,
    Dense(256 => 120, relu), Dense(120 => 84, relu), Dense(84 => 10),
)

function plain_epoch(model, state, batch_size)
    for (x, y) in DataLoader((images, labels); batchsize=batch_size, shuffle=true)
        onehot = Flux.onehotbatch(y, 0:9)
        gradient = Flux.gradient(m -> Flux.logitcrossentropy(m(x), onehot), model)[1]
        Flux.update!(state, model, gradient)
    end
end

function trainer_epoch(run, batch_size)
    begin_epoch!(run, randperm(SAMPLES) .- 1)
    train!(run, fill(0.01, cld(SAMPLES, batch_size)))
end

function cpu_seconds(epoch)
    began = cpu_time()
    epoch()
    return cpu_time() - began
end

function cpu_time()
    process_cputime = Sys.isapple() ? 12 : 2
    time = Ref((0, 0))
    ccall(:clock_gettime, Cint, (Cint, Ptr{Cvoid}), process_cputime, time)
    return time[][1] + time[][2] / 1e9
end

middle(values) = sort(values)[cld(length(values), 2)]

for batch_size in (128, 512, 2048)
    model = plain_model()
    state = Flux.setup(Momentum(0.01, 0.9), model)
    run = start(; model=FluxTrainer.lenet, data=DATA, outputs=10, loss="cross_entropy", options=(;), batch_size,
        num_workers=0, optimizer="sgd", momentum=0.9, weight_decay=0.0, precision="float32",
        memory_format="contiguous", data_on_device=false, seed=0, device="cpu",
        threads=1)
    plain_epoch(model, state, batch_size) # not counted: compilation
    trainer_epoch(run, batch_size)
    mine_first(mine, plain) = (cpu_seconds(mine), cpu_seconds(plain))
    mine_last(mine, plain) = reverse((cpu_seconds(plain), cpu_seconds(mine)))
    pairs = map(1:ROUNDS) do round
        (isodd(round) ? mine_first : mine_last)(
            () -> trainer_epoch(run, batch_size), () -> plain_epoch(model, state, batch_size)
        )
    end
    mine, plain = SAMPLES / middle(first.(pairs)), SAMPLES / middle(last.(pairs))
    ratio = middle(last.(pairs) ./ first.(pairs))
    println("""{"batch_size": $batch_size, "mine": $mine, "other": $plain, "ratio": $ratio}""")
end
