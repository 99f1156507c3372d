"""The areas, in the order of who may read whose facts: an area reads those before it, never those after."""

ORDER = ("access", "lineage", "registry", "decisions", "fairness", "incidents")
