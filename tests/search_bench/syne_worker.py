"""Syne Tune's own schedulers, in a process and an environment of their own: a line of JSON in, a line of JSON out.

Run by `tests.search_bench.syne` with the Python of ``.venv-syne``, which has Syne Tune and nothing of this project.
"""

from __future__ import annotations

import json
import logging
import sys
import warnings
from datetime import datetime


def main() -> None:
    out, sys.stdout = sys.stdout, sys.stderr  # what libraries print is no answer
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore")
    from syne_tune.backend.trial_status import Trial
    from syne_tune.config_space import choice, loguniform, randint, uniform
    from syne_tune.optimizer import baselines

    def searched(values: dict):
        if "choices" in values:
            return choice(values["choices"])
        if values["whole"]:
            return randint(values["low"], values["high"])
        return (loguniform if values["log"] else uniform)(values["low"], values["high"])

    scheduler, trials = None, {}
    for line in sys.stdin:
        asked = json.loads(line)
        answer = None
        if asked["do"] == "start":
            trials = {}
            scheduler = getattr(baselines, asked["name"])(
                {name: searched(values) for name, values in asked["space"].items()},
                metric="objective",
                mode="min",
                resource_attr="evaluation",
                max_t=asked["most"],
                random_seed=asked["seed"],
                search_options={"debug_log": False},
            )
        elif asked["do"] == "suggest":
            suggestion = scheduler.suggest(asked["trial"])
            assert suggestion.spawn_new_trial_id, "a stopping scheduler resumes nothing"
            trials[asked["trial"]] = Trial(asked["trial"], suggestion.config.copy(), datetime.now())
            scheduler.on_trial_add(trials[asked["trial"]])
            answer = {name: suggestion.config[name] for name in asked["names"]}
        elif asked["do"] == "result":
            answer = scheduler.on_trial_result(trials[asked["trial"]], asked["result"])
            if answer == "STOP":
                scheduler.on_trial_remove(trials[asked["trial"]])
        elif asked["do"] == "complete":
            scheduler.on_trial_complete(trials[asked["trial"]], asked["result"])
        print(json.dumps(answer), file=out, flush=True)


if __name__ == "__main__":
    main()
