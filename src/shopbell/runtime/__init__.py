"""The process itself: clock, tasks, deadline, log output."""
