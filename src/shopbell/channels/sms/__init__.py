"""SMS and WhatsApp: ways in and out."""
