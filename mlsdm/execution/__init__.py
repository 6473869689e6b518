"""How a notebook is run: workers, kernels, limits; the only part that imports papermill."""
