"""What is said of each kind in the words of other frameworks, a file for each."""
