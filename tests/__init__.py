"""The tests. They mirror src/socketeer one to one; ``support`` holds what they share."""
