"""Where the bytes of attachments are: a folder, or a bucket of an S3-compatible service, behind one interface."""
