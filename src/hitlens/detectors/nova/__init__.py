"""NOvA: two views of a segmented scintillator detector, 100 planes of 80 cells each."""
