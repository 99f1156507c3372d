"""Populations, samples, the package, its verifier and re-performance.

``verify`` needs the core install alone and imports no area; ``package`` and ``reperform`` add the areas.
"""
