"""
Receding-horizon Cross-Entropy-Method planning for ROS 2, in PyTorch.

Symbols, used with these meanings throughout the package:

====== ============================================ ====
symbol meaning                                      unit
====== ============================================ ====
N      candidates (samples) per iteration
K      elites
I      CEM iterations per control period
H      horizon in model steps
nx, nu dimension of the state and of the action
dt     model time step                              s
T      control period                               s
====== ============================================ ====

Tensors put components first and samples last, so that every component of every candidate is one
contiguous row:

============ ========== =============================
name         shape      meaning
============ ========== =============================
state        (nx, N)    one column a candidate
action       (nu, N)    one column a candidate
sequence     (H, nu, N) actions over the horizon
mean, std    (H, nu)    the sampling distribution
durations    (H,)       length of each step, s
cost         (N,)       lower is better
============ ========== =============================
"""

__version__ = "0.1.0"
