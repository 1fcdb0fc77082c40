"""The documents are checked as the code is."""
