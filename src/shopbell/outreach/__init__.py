"""What reaches customers and stores outside of the widget: it is decided by the feed, written down, and then sent."""
