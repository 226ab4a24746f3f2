"""The one guarded way out: sending to addresses that strangers choose."""
