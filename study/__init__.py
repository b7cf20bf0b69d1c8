"""Everything that talks to Ray and Optuna: the command line, the plan, launch, resume, confirm, status, doctor."""
