"""``shopbell doctor``: checks of an installation."""
