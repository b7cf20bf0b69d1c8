using FluxTrainer: lenet

build() = lenet()
