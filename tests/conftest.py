"""What holds for every test: none depends on how busy the machine is, nor on its GPUs."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile("busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")

# Expected figures are those of a processor; `tests.proofs.prove_gpu` is what a GPU is held to.
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
