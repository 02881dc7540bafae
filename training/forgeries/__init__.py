"""Fakes made of real faces: self-blended forgeries, and two methods that are only ever held out."""
