"""The inbox API: what employees see and do, and programs in their name."""
