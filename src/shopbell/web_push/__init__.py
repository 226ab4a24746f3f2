"""Push notifications to the browsers of employees."""
