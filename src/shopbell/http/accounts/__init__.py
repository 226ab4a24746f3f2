"""Pages with which employees sign in and manage their account."""
