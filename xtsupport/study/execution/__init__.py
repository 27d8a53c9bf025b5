"""How a plan is carried out: the runner, nodes, kernels, progress."""
