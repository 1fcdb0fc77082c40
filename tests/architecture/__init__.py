"""Rules of the house that can be checked: each of these tests is one of them."""
