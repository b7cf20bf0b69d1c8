# A model comes from a file with a function `build(; options...)`. The file is included in a module of its own, once per
# content and process; or it was compiled beforehand, as a package that `compile_model` made, and is loaded.

"""A model's file that cannot be used: which, where and why, in a line."""
struct ModelError <: Exception
    path::String
    line::Int # 0 where it is not known
    why::String
end

Base.showerror(io::IO, error::ModelError) =
    print(io, error.path, error.line > 0 ? ", line $(error.line)" : "", ": ", error.why)

"""What makes a model, as often as it is called: a function and what it is called with."""
struct Blueprint
    build::Any
    options::NamedTuple
    path::String # of its file; empty where it is none
end

const MODULES = Dict{String,Module}() # of the files that have been included, by `digest`
const SOURCES = Dict{String,String}() # folders whose code runs, to the folders that the user knows

Blueprint(build, options) = Blueprint(build, (; options...), "")

function Blueprint(path::AbstractString, options)
    path = abspath(path)
    isfile(path) || throw(ModelError(path, 0, "there is no such file"))
    content = digest(path)
    found = get!(() -> load_model(path, content), MODULES, content)
    blueprint = Base.invokelatest(find_build, found, (; options...), path)
    return blueprint::Blueprint
end

(blueprint::Blueprint)() =
    try
        Base.invokelatest(blueprint.build; blueprint.options...)
    catch error
        throw(something(located(error, catch_backtrace()), ModelError(blueprint.path, 0, first_line(error))))
    end

function find_build(found::Module, options, path)
    isdefined(found, :build) || throw(ModelError(path, 0, "it has no function build"))
    build = getfield(found, :build)
    method = nothing
    for each in methods(build)
        each.nargs == 1 && (method = each) # the function itself counts
    end
    isnothing(method) && throw(ModelError(path, 0, "build takes no keywords alone; write build(; option=value)"))
    taken = Base.kwarg_decl(method)
    any(name -> endswith(string(name), "..."), taken) && return Blueprint(build, options, path)
    for name in keys(options)
        name in taken && continue
        those = isempty(taken) ? "none" : join(taken, ", ")
        throw(ModelError(path, Int(method.line), "build takes no option '$name'; it takes $those"))
    end
    return Blueprint(build, options, path)
end

"""
    digest(path) -> String

SHA-256 over the Julia files in a model's folder, names and bytes: what the model may consist of.
"""
function digest(path)
    folder = dirname(path)
    files = julia_files(folder)
    parts = [basename(path); [string(relpath(file, folder), '\0', bytes2hex(sha256(read(file)))) for file in files]]
    return bytes2hex(sha256(join(parts, '\n')))
end

julia_files(folder) = sort!([
    joinpath(root, file) for (root, _, files) in walkdir(folder; onerror=identity) for
    file in files if endswith(file, ".jl") && !any(startswith('.'), splitpath(relpath(root, folder))[2:end])
])

function load_model(path, digest)
    package = load_package(digest)
    if !isnothing(package)
        SOURCES[joinpath(packages(), package_name(digest), "src", COPY)] = dirname(path)
        return package
    end
    found = Module(Symbol(:Model_, first(digest, 8)))
    Core.eval(found, :(include(path::AbstractString) = Base.include($found, path)))
    Core.eval(found, :(eval(code) = Core.eval($found, code)))
    to_be_found(pkgdir(@__MODULE__))
    try
        Base.include(found, path)
    catch error
        throw(of_including(error, path))
    end
    SOURCES[dirname(path)] = dirname(path)
    return found
end

"""Let a folder's packages be loaded by name: here `using Flux`, and what else this package has, in a user's file."""
function to_be_found(folder)
    folder in LOAD_PATH || push!(LOAD_PATH, folder)
    return nothing
end

"""The line in which a file broke off, and why."""
function of_including(error, path)
    line = 0
    while error isa LoadError
        path, line, error = error.file, error.line, error.error
    end
    said = sprint(showerror, error)
    found = match(r"# Error @ .*:(\d+):\d+\n", said) # of the parser
    isnothing(found) && return ModelError(path, line, first_line(error))
    why = match(r"── ?(.+)\s*$", said)
    return ModelError(path, parse(Int, found[1]), "syntax error" * (isnothing(why) ? "" : ": $(strip(why[1]))"))
end

first_line(error) = string(first(eachsplit(sprint(showerror, error), '\n')))

"""An error with the place in a model's file that it came from; nothing where it came from none."""
function located(error, backtrace)
    error isa ModelError && return error
    for frame in stacktrace(backtrace)
        file = String(frame.file)
        for (folder, known) in SOURCES
            startswith(file, joinpath(folder, "")) || continue
            return ModelError(joinpath(known, relpath(file, folder)), frame.line, first_line(error))
        end
    end
    return nothing
end
