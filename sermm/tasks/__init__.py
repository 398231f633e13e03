"""LightningModules: one base with one shared step; a task states its parts and its forward."""
