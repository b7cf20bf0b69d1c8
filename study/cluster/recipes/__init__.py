"""Files that start a study on a cluster: a Slurm script, a Kubernetes manifest, two local nodes; never starts one."""
