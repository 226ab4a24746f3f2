"""The conversations API: ordinary FastAPI routes, one file per resource."""
