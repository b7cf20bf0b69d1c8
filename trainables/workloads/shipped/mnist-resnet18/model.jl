using FluxTrainer: resnet18

build() = resnet18()
