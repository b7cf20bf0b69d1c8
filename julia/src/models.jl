# The models of the workloads that come with tuneoff. Their model.jl files take them from here, where they are compiled
# when the package is installed.

const CLASSES = 10

"""
    lenet(; pool = ExactMaxPool)

LeNet-5 with ReLU and max-pooling: convolutions of 6 and 16 channels, dense 256-120-84-10; 44,426 parameters.
Images (28, 28, 1, batch) to logits (10, batch).
"""
lenet(; pool=ExactMaxPool) = Chain(;
    conv1=Conv((5, 5), 1 => 6, relu),
    pool1=pool((2, 2)),
    conv2=Conv((5, 5), 6 => 16, relu),
    pool2=pool((2, 2)),
    flatten=Flux.flatten,
    fc1=Dense(256 => 120, relu),
    fc2=Dense(120 => 84, relu),
    fc3=Dense(84 => CLASSES),
)

"""
    resnet18(; pool = ExactMaxPool)

ResNet-18 with the 7x7 stem and one input channel; 11,175,370 parameters.
Images (28, 28, 1, batch) to logits (10, batch).
"""
function resnet18(; pool=ExactMaxPool)
    stage(channels; stride) = Chain(BasicBlock(channels; stride), BasicBlock(channels[2] => channels[2]; stride=1))
    return Chain(;
        conv1=convolution((7, 7), 1 => 64; stride=2, pad=3),
        bn1=BatchNorm(64, relu),
        maxpool=pool((3, 3); stride=(2, 2), pad=(1, 1)),
        layer1=stage(64 => 64; stride=1),
        layer2=stage(64 => 128; stride=2),
        layer3=stage(128 => 256; stride=2),
        layer4=stage(256 => 512; stride=2),
        avgpool=GlobalMeanPool(),
        flatten=Flux.flatten,
        fc=Dense(512 => CLASSES),
    )
end

"""Two 3x3 convolutions with BatchNorm and a shortcut, projected where the shape changes."""
struct BasicBlock{A,B,C,D,S}
    conv1::A
    bn1::B
    conv2::C
    bn2::D
    downsample::S
end

Flux.@layer BasicBlock

function BasicBlock(channels::Pair; stride)
    inputs, outputs = channels
    downsample =
        inputs == outputs ? identity :
        Chain(convolution((1, 1), inputs => outputs; stride, pad=0), BatchNorm(outputs))
    return BasicBlock(
        convolution((3, 3), inputs => outputs; stride, pad=1),
        BatchNorm(outputs, relu),
        convolution((3, 3), outputs => outputs; stride=1, pad=1),
        BatchNorm(outputs),
        downsample,
    )
end

function (block::BasicBlock)(x)
    y = block.bn1(block.conv1(x))
    y = block.bn2(block.conv2(y))
    return relu.(y .+ block.downsample(x))
end

convolution(window, channels; stride, pad) = Conv(window, channels; stride, pad, bias=false)
