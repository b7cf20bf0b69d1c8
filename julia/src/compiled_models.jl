# Compiled beforehand: a package for each content, in a folder beside the Julia project. It has no Project.toml, and so
# finds every package that the file alone would find.

const COPY = "model" # of the model's folder, in the package

package_name(digest) = "TuneoffModel_" * first(digest, 16)

packages() = joinpath(dirname(something(Base.active_project(), "nowhere")), "tuneoff-models")

"""The package that was compiled from this very content, with these versions of all; nothing where there is none."""
function load_package(digest)
    name = package_name(digest)
    isfile(joinpath(packages(), name, "src", "$name.jl")) || return nothing
    to_be_found(pkgdir(@__MODULE__))
    to_be_found(packages())
    package = Base.identify_package(name)
    isnothing(package) && return nothing
    return Base.isprecompiled(package) ? Base.require(package) : nothing
end

"""
    compile_model(path; shape, outputs, loss, options) -> String

Compile all that a training does with a model, for `start` to load; `shape` is that of a sample, in Julia's order. The
folder of the package.

Throws `ModelError` where the file is at fault.
"""
function compile_model(path::AbstractString; shape, outputs, loss, options=(;))
    path = abspath(path)
    name = package_name(digest(path))
    folder = joinpath(packages(), name)
    isnothing(load_package(digest(path))) || return folder # that was done
    Base.invokelatest(try_model, Blueprint(path, options), shape, outputs)
    for file in julia_files(dirname(path))
        copied = joinpath(folder, "src", COPY, relpath(file, dirname(path)))
        mkpath(dirname(copied))
        write(copied, read(file))
    end
    asked = (; shape, outputs, loss, options=(; options...))
    write(joinpath(folder, "src", "$name.jl"), package_source(name, basename(path), asked))
    to_be_found(packages())
    Base.compilecache(Base.identify_package(name))
    return folder
end

package_source(name, file, asked) = """
module $name
include($(repr(joinpath(COPY, file))))
using FluxTrainer: FluxTrainer
FluxTrainer.PrecompileTools.@compile_workload begin
    FluxTrainer.rehearse(@__MODULE__, joinpath(@__DIR__, $(repr(joinpath(COPY, file)))); $(repr(asked))...)
end
end
"""
