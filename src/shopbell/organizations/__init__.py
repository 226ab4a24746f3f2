"""Organizations, businesses, employees and their credentials."""
