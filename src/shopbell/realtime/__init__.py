"""Publish and subscribe between processes."""
