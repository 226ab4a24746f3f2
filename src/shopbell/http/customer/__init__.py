"""Routes for customers' browsers and apps."""
