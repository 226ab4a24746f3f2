"""Wake-ups: whoever waits for news is told to look, within this process and from process to process."""
