"""Everything that talks to Ray and Optuna. Calls run down: `cli`, `driver`, `cluster`, `store`, `plan`.

Never here: a training (`trainables`) or a page (`reports`).
"""
