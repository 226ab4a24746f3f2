"""What operators do: backup, restore, export, retention, diagnosis."""
