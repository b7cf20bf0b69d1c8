"""What is trained: the shipped workloads, their data and the tensors of their models; never a framework."""
