"""The columns of the two record files. reports/README.md shows this as a table; a test holds the two together."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

CHAIN_HEAD = "tuneoff.chain"  # in the files' metadata: hash of the last line of the log that they were built from


@dataclass(frozen=True)
class Column:
    """One column: name, Parquet type, and what it means (units included)."""

    name: str
    type: pa.DataType
    meaning: str


_TEXT, _WHOLE, _REAL, _FLAG = pa.string(), pa.int64(), pa.float64(), pa.bool_()

_IDENTITY = (
    Column("study", _TEXT, "name of the study"),
    Column("phase", _TEXT, "`search`, `race`, `confirm` or `sweep`"),
    Column("framework", _TEXT, "name of the framework"),
    Column("trial_id", _TEXT, "unique within the study; `PHASE-FRAMEWORK-NUMBER`"),
)
_LEDGER = (
    Column("startup_s", _REAL, "seconds of imports, reading the data set, building the model"),
    Column("compile_s", _REAL, "seconds of warm-up on dummy data"),
    Column("train_s", _REAL, "seconds of training: waiting for batches and optimizer steps (the warm clock)"),
    Column("data_s", _REAL, "the part of `train_s` spent waiting for batches"),
    Column("eval_s", _REAL, "seconds of evaluating the validation split"),
    Column("checkpoint_s", _REAL, "seconds of saving, and of loading after an interruption"),
)

EVALUATIONS = (
    *_IDENTITY,
    Column("evaluation", _WHOLE, "counts from 1 within the trial"),
    Column("epoch", _WHOLE, "epochs begun"),
    Column("samples", _WHOLE, "training samples seen so far"),
    Column("train_loss", _REAL, "mean loss since the evaluation before; empty when not finite"),
    Column("validation_accuracy", _REAL, "fraction of the validation split that is right; empty where no class is"),
    Column("validation_loss", _REAL, "mean loss on the validation split; empty when not finite"),
    *_LEDGER,
)

TRIALS = (
    *_IDENTITY,
    Column("number", _WHOLE, "counts from 0: of the Optuna trial, or of the pair of runs in the other phases"),
    Column("confirms", _WHOLE, "number of the search's trial whose configuration a race's or confirmation run repeats"),
    Column("rank", _WHOLE, "of a race's run: the place of that trial in its framework's search when it ran, from 1"),
    Column(
        "attempt",
        _WHOLE,
        "1, and one more whenever the frameworks' runs of a seed began anew, on another machine; the last one counts",
    ),
    Column("varied", _TEXT, "name of the hyperparameter that a sweep varies in it"),
    Column("workload", _TEXT, "name of the workload"),
    Column("workload_digest", _TEXT, "SHA-256 of the workload's files, as the study froze them"),
    Column("seed", _WHOLE, "of sample order, initial weights and dropout"),
    Column("metric", _TEXT, "what the target is about: `accuracy`, or `loss`; before there was a choice, empty"),
    Column("target", _REAL, "validation accuracy to reach, or validation loss to come down to"),
    Column("holds", _WHOLE, "evaluations in a row that must meet it; before there was such a rule, 1 or empty"),
    Column("limit_s", _REAL, "seconds after which the trial is censored, on the clock of `objective_clock`"),
    Column("max_epochs", _WHOLE, "epochs after which the trial is censored"),
    Column("evaluate_every_samples", _WHOLE, "training samples between two evaluations"),
    Column("objective_clock", _TEXT, "`warm` or `cold`"),
    Column("learning_rate", _REAL, "hyperparameter"),
    Column("batch_size", _WHOLE, "hyperparameter, samples"),
    Column("num_workers", _WHOLE, "hyperparameter: loader processes or threads asked for; 0 loads in line"),
    Column("optimizer", _TEXT, "`sgd`, `nesterov`, `adam` or `adamw`"),
    Column("momentum", _REAL, "of sgd and nesterov"),
    Column("weight_decay", _REAL, "L2, added to the gradient; of adamw, taken from the weights"),
    Column(
        "schedule", _TEXT, "of the learning rate: `constant`, `cosine` or `one_cycle`; before there were any, empty"
    ),
    Column("warm_up", _REAL, "share of all steps over which the learning rate rises"),
    Column("options", _TEXT, "what the model was built with, as JSON, names sorted"),
    Column("precision", _TEXT, "`float32` or `bf16`: of forward passes"),
    Column("memory_format", _TEXT, "`contiguous` or `channels_last`: of images and weights"),
    Column("data_on_device", _FLAG, "whether the training split lay on the device, so that no loader ran"),
    Column("device", _TEXT, "`cpu` or `cuda`"),
    Column("cpus", _WHOLE, "CPUs of the slice, and compute threads"),
    Column("gpus", _REAL, "GPUs of the slice; below 1, a share of one"),
    Column(
        "outcome",
        _TEXT,
        "`reached`, `out_of_time`, `out_of_epochs`, `diverged`, `capped` (it could no longer win: `capped_by`), "
        "`stopped` (by ASHA), `failed` or `moved` (given up where its machine was lost; its next attempt ran on "
        "another)",
    ),
    Column(
        "capped_by",
        _TEXT,
        "why it was capped: `time`, its cap had passed, or `curve`, it lagged too far behind; empty otherwise",
    ),
    Column(
        "cap_s",
        _REAL,
        "seconds, on the clock of `objective_clock`, at which it was to be capped; empty: there was no cap",
    ),
    Column("error", _TEXT, "why it failed; empty otherwise"),
    Column("failures", _WHOLE, "times it died"),
    Column("reruns", _WHOLE, "times it was run again because a busy machine had disturbed it; this is the last"),
    Column("objective", _REAL, "what the search minimises: the TTA, or a value above the limit"),
    Column("reached", _FLAG, "whether the target was reached within the limits, and held"),
    Column(
        "warm_tta_s", _REAL, "`train_s` at the evaluation with which the target had been met `holds` times in a row"
    ),
    Column("cold_tta_s", _REAL, "all accounts together at that evaluation; empty unless the process was fresh"),
    Column("samples_to_target", _WHOLE, "training samples seen at that evaluation"),
    Column("first_warm_s", _REAL, "`train_s` at the first evaluation that met the target, whether it held or not"),
    Column("first_cold_s", _REAL, "all accounts together at that evaluation; empty unless the process was fresh"),
    Column("first_samples", _WHOLE, "training samples seen at that evaluation"),
    Column("samples", _WHOLE, "training samples seen in all"),
    Column("epochs", _WHOLE, "epochs begun"),
    Column("evaluations", _WHOLE, "evaluations made"),
    Column("best_validation_accuracy", _REAL, "highest over the evaluations; empty where `metric` is `loss`"),
    Column("best_validation_loss", _REAL, "lowest over the evaluations"),
    Column("test_accuracy", _REAL, "on the test split at the end; confirmation runs only"),
    Column("test_loss", _REAL, "likewise"),
    Column("best_training_accuracy", _REAL, "highest on the whole training split, measured after epochs; sweeps only"),
    Column("average_training_loss", _REAL, "mean over all training samples seen"),
    *_LEDGER,
    Column("startup_runtime_s", _REAL, "the part of `startup_s` in which Julia started, with its bridge to Python"),
    Column("startup_packages_s", _REAL, "the part that loaded the framework: `import torch`, or `using FluxTrainer`"),
    Column("startup_data_s", _REAL, "the part that brought the data set into memory"),
    Column(
        "startup_seam_s", _REAL, "the part that handed data and weights to the framework, which built model and loader"
    ),
    Column("wall_s", _REAL, "seconds from the start of its set-up to its last evaluation, interruptions left out"),
    Column("slice_s", _REAL, "seconds for which it held its slice; the search is charged with these"),
    Column("lost_s", _REAL, "the part of `slice_s` that interruptions and failures lost: work that was done again"),
    Column("train_wall_s", _REAL, "wall seconds of its training, on the machine's own clock"),
    Column("train_cpu_s", _REAL, "CPU seconds (user and system) of its process and loader processes in `train_wall_s`"),
    Column("train_delayed_s", _REAL, "seconds in `train_wall_s` that its thread was ready to run and no CPU was free"),
    Column("train_stolen_s", _REAL, "CPU seconds that the hypervisor took meanwhile, of all CPUs of its machine"),
    Column("load_start", _REAL, "load average of its machine over a minute when it first began"),
    Column("load_end", _REAL, "the same at its last evaluation, or half a second before it at most"),
    Column("cpu_mhz_start", _REAL, "clock of the CPUs that it may use when it first began, MHz; empty: not told"),
    Column("cpu_mhz_end", _REAL, "the same at its last evaluation, or half a second before it at most"),
    Column("host_cpus", _WHOLE, "CPUs of the machine where it ran last, which the load is spread over"),
    Column("niceness", _WHOLE, "of its process, the highest; above 0 it gives way to whatever else its machine runs"),
    Column("fresh_process", _FLAG, "whether its process had run no training before"),
    Column("segments", _WHOLE, "1, and one more for every interruption it was continued after"),
    Column("loader_workers", _WHOLE, "loader processes or threads that really ran"),
    Column("gpu", _TEXT, "model of its GPU, from NVML; without NVML this and the next eight are empty"),
    Column("gpu_uuid", _TEXT, "which one"),
    Column("gpu_memory_used_bytes", _WHOLE, "most memory in use on it, by all processes, at any evaluation"),
    Column("gpu_utilisation_start", _REAL, "share of the time for which kernels ran on it, just after the warm-up"),
    Column("gpu_utilisation_end", _REAL, "the same at the last evaluation, or half a second before it at most"),
    Column("gpu_clock_start_mhz", _WHOLE, "clock of its multiprocessors just after the warm-up"),
    Column("gpu_clock_end_mhz", _WHOLE, "the same at the last evaluation, or half a second before it at most"),
    Column("gpu_clock_mhz", _WHOLE, "the lowest at any of them"),
    Column("gpu_throttled", _TEXT, "what kept the clock down at any of them, as `power cap`; empty: nothing"),
    Column("gpu_shared", _FLAG, "whether another process computed on it at any of them"),
    Column("pinned_cpus", _TEXT, "CPUs that it was held to where it ran last, as `0-1,4`; empty: to none"),
    Column("host", _TEXT, "where it ran last"),
    Column("hosts", _WHOLE, "machines that it ran on; with more than one its time is of no machine"),
    Column("cpu", _TEXT, "model of the processor where it ran last"),
    Column("pid", _WHOLE, "in which process"),
    Column("code", _TEXT, "SHA-256 of the sources of the training that its process ran"),
    Column("began_at", _REAL, "when it first began, seconds since 1970"),
    Column("ended_at", _REAL, "when it ended, seconds since 1970"),
)


def arrow_schema(columns: tuple[Column, ...]) -> pa.Schema:
    """The Parquet schema of these columns."""
    return pa.schema([(column.name, column.type) for column in columns])
