"""What people are shown of a detection: its words, its pictures, and which frames matter."""
