"""The crash matrix: every place where a machine may lose power on an order's way, in real processes."""
