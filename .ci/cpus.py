"""The environments under which the fitter is tested once more, one a line.

ATen takes the widest vectors of the processor unless told otherwise; wider ones would crash it.
Numba's generic code goes with the narrowest.
"""

import torch

SETS = ("DEFAULT", "AVX2", "AVX512")
widest = torch.backends.cpu.get_cpu_capability()
for name in SETS[1 : SETS.index(widest) if widest in SETS else 1]:
    print(f"ATEN_CPU_CAPABILITY={name.lower()}")
print("ATEN_CPU_CAPABILITY=default,NUMBA_CPU_NAME=generic")
