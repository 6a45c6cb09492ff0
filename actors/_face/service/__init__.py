"""A system that runs as a service: serving, logging, metrics, the dashboard."""
