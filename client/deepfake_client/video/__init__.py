"""Frames of videos, sampled evenly."""
