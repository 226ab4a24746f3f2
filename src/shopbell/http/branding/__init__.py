"""Pages in the colors of a business and the language of its customer."""
