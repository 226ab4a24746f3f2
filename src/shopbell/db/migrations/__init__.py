"""Alembic's migrations; each runs on both engines."""
