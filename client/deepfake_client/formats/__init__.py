"""What the structure of a media file says, read without decoding it."""
