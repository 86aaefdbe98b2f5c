"""Files in and out: the native events file, text tables of numbers, and writing in one piece."""
