"""Texts (SMS and WhatsApp): how they are counted, what providers' forms say, who wants none. Pure."""
